/* An AVR simulated cycle by cycle, by simavr's library: rows in by standard input, and for each row
   its points, cycles and instructions out.

   Arguments: the chip, its flash as a binary file, the rows' bytes, the points' bytes, and the
   addresses of place_pause, place_points (in flash) and place_row, place_sums, place_failures (in RAM),
   and where the stack must end. Out go four int32 (a mark, failures of the self-test, 0, bytes of
   stack), then for each row the points and two int32. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <simavr/sim_avr.h>

enum { MOST_FLASH = 1 << 18, SPL = 0x5d, SPH = 0x5e };

static avr_t* avr;
static int32_t n_instructions;
static unsigned lowest = 0xffff, limit;

static unsigned stack_pointer(void) { return (unsigned)(avr->data[SPL] | avr->data[SPH] << 8); }

static void step(void) {
    int state = avr_run(avr);
    if (state == cpu_Done || state == cpu_Crashed) {
        fprintf(stderr, "the chip stopped at %#x\n", (unsigned)avr->pc);
        exit(1);
    }
    n_instructions++;
    if (stack_pointer() < lowest) {
        lowest = stack_pointer();
    }
    if (stack_pointer() && stack_pointer() < limit) { /* 0 before start-up sets it */
        fprintf(stderr, "the stack ran into the variables at %#x\n", limit);
        exit(1);
    }
}

static void run_to(avr_flashaddr_t address) {
    while (avr->pc != address) {
        step();
    }
}

static void load(const char* name) {
    static uint8_t flash[MOST_FLASH];
    FILE* file = fopen(name, "rb");
    size_t n = file ? fread(flash, 1, sizeof flash, file) : 0;
    if (n == 0 || n > avr->flashend + 1) {
        fprintf(stderr, "%zu bytes of code do not fit a flash of %u\n", n, (unsigned)avr->flashend + 1);
        exit(1);
    }
    fclose(file);
    avr_loadcode(avr, flash, (uint32_t)n, 0);
    avr->codeend = avr->flashend;
}

/* One call of place_points: from its first instruction until its caller goes on. */
static void measure(avr_flashaddr_t points, int32_t spent[2], int32_t* stack) {
    unsigned top;
    avr_flashaddr_t back;
    avr_cycle_count_t before;
    run_to(points);
    top = stack_pointer();
    back = (avr_flashaddr_t)(avr->data[top + 1] << 8 | avr->data[top + 2]) * 2;
    before = avr->cycle;
    n_instructions = 0;
    lowest = top;
    while (avr->pc != back || stack_pointer() != top + 2) {
        step();
    }
    spent[0] = (int32_t)(avr->cycle - before);
    spent[1] = n_instructions;
    *stack = (int32_t)(top + 2 - lowest);
}

int main(int argc, char** argv) {
    int32_t head[4] = {0x62696d65, 0, 0, -1}, spent[2];
    unsigned long at[8];
    int i, is_first = 1;
    if (argc != 11 || !(avr = avr_make_mcu_by_name(argv[1]))) {
        return 2;
    }
    avr_init(avr);
    avr->log = LOG_ERROR;
    load(argv[2]);
    for (i = 3; i < argc; i++) {
        at[i - 3] = strtoul(argv[i], NULL, 0);
    }
    limit = (unsigned)at[7];
    run_to((avr_flashaddr_t)at[2]);
    memcpy(&head[1], avr->data + at[6], sizeof head[1]);
    while (fread(avr->data + at[4], 1, at[0], stdin) == at[0]) {
        measure((avr_flashaddr_t)at[3], spent, &head[3]);
        run_to((avr_flashaddr_t)at[2]);
        if (is_first) {
            fwrite(head, sizeof head, 1, stdout);
            is_first = 0;
        }
        fwrite(avr->data + at[5], 1, at[1], stdout);
        fwrite(spent, sizeof spent, 1, stdout);
    }
    return is_first;
}
