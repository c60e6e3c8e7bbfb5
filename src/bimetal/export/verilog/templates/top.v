// Puts NAME behind ports that are the same for every module: for simulators and area reports.
module NAME_top (
    input wire clk,
    input wire rst,
    input wire valid_in,
    input wire [N_ROW_BITS-1:0] row,
    output wire valid_out,
    output wire [N_ANSWER_BITS-1:0] answer
);
    // INSTANCE
endmodule
