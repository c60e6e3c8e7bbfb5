// The parts of the C++ test binary; each returns how many cases went wrong.
#pragma once

int test_nets(long n_cases);
int test_net_kernels(long n_cases, const char* isa_filter);
int test_net_tiles(long n_cases);
int test_row_threshold(long n_cases);
int test_explain(long n_cases);
