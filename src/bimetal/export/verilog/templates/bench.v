// NAME_tb: feeds the rows of ROWS_HEX to NAME, with pauses, and compares each answer with
// POINTS_HEX. It prints PASSED and the number of rows, or the first that differs, and then ends with
// an error where the simulator can. With DUMP = 1 it writes the answers to DUMP_HEX instead.
// A line of POINTS_HEX is an answer as hexadecimal: NOTE_OF_ANSWER.
`timescale 1ns / 1ps
module NAME_tb;
    parameter ROWS = N_ROWS;
    parameter DUMP = 0;
    localparam LATENCY = N_CYCLES;
    localparam ROW_BITS = N_ROW_BITS;
    localparam BITS = N_ANSWER_BITS;

    reg [ROW_BITS-1:0] rows[0:ROWS-1];
    reg [BITS-1:0] expected[0:ROWS-1];
    reg clk, rst, valid_in;
    reg [ROW_BITS-1:0] row;
    wire valid_out;
    wire [BITS-1:0] answer;
    integer entered[0:ROWS-1];  // the cycle in which each row went in
    integer cycle, sent, seen, file;

    // INSTANCE

    task fail;
        begin
            $display("FAILED NAME: row %0d in cycle %0d gave %h", seen, cycle, answer);
            if (seen < ROWS) $display("  expected %h for row %h", expected[seen], rows[seen]);
            stop;
        end
    endtask

    task stop;
        begin
`ifdef __ICARUS__
            $finish_and_return(1);
`else
`ifdef VERILATOR
            $stop;
`else
            $finish;
`endif
`endif
        end
    endtask

    initial begin
        $readmemh(ROWS_HEX, rows);
        if (DUMP == 0) $readmemh(POINTS_HEX, expected);
        else file = $fopen(DUMP_HEX, "w");
        clk = 0;
        valid_in = 0;
        row = rows[0];
        rst = 1;
        #1 clk = 1;
        #1 clk = 0;
        rst = 0;
        sent = 0;
        seen = 0;
        for (cycle = 0; seen < ROWS; cycle = cycle + 1) begin
            // a pause in every seventh cycle, with the wrong row before the door
            valid_in = sent < ROWS && cycle % 7 != 3;
            row = valid_in ? rows[sent] : ~rows[0];
            if (valid_in) begin
                entered[sent] = cycle;
                sent = sent + 1;
            end
            #1;
            if (valid_out !== 1'b0) begin
                if (valid_out !== 1'b1 || seen >= sent || cycle != entered[seen] + LATENCY) fail;
                else if (DUMP != 0) $fdisplay(file, "%h", answer);
                else if (answer !== expected[seen]) fail;
                seen = seen + 1;
            end
            if (cycle > 2 * ROWS + LATENCY + 10) fail;
            clk = 1;
            #1 clk = 0;
        end
        if (DUMP == 0) $display("PASSED %0d", ROWS);
        else $fclose(file);
        $finish;
    end
endmodule
