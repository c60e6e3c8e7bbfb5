// For yosys: two forms that fit these modules better than its own.

// A bit picked from a constant by 1 to 8 others is a tree of multiplexers, which then is one look-up
// table. (Its own form makes a module for each constant, and takes half of its time to do so.)
(* techmap_celltype = "$shiftx" *)
module bimetal_table (A, B, Y);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    input [A_WIDTH-1:0] A;
    input [B_WIDTH-1:0] B;
    output [Y_WIDTH-1:0] Y;
    wire _TECHMAP_FAIL_ = Y_WIDTH != 1 || B_SIGNED != 0 || A_WIDTH != 1 << B_WIDTH;
    wire [2*A_WIDTH-2:0] node;  // the bits, then half as many for each level
    genvar level, i;
    generate
        assign node[A_WIDTH-1:0] = A;
        for (level = 0; level < B_WIDTH; level = level + 1) begin : halves
            for (i = 0; i < A_WIDTH >> (level + 1); i = i + 1) begin : pair
                assign node[2*A_WIDTH-(A_WIDTH>>level)+i] = B[level]
                    ? node[2*A_WIDTH-(2*A_WIDTH>>level)+2*i+1]
                    : node[2*A_WIDTH-(2*A_WIDTH>>level)+2*i];
            end
        end
    endgenerate
    assign Y = node[2*A_WIDTH-2];
endmodule

// Each adder is a chain of carries of its own. (Left alone, yosys merges a tree of them into layers of
// look-up tables, which take more room and more levels on chips with fast carries.)
(* techmap_celltype = "$add $sub" *)
module bimetal_adder (A, B, Y);
    parameter A_SIGNED = 0;
    parameter B_SIGNED = 0;
    parameter A_WIDTH = 1;
    parameter B_WIDTH = 1;
    parameter Y_WIDTH = 1;
    parameter _TECHMAP_CELLTYPE_ = "";
    localparam IS_SUB = _TECHMAP_CELLTYPE_ == "$sub";
    input [A_WIDTH-1:0] A;
    input [B_WIDTH-1:0] B;
    output [Y_WIDTH-1:0] Y;
    wire [Y_WIDTH-1:0] X, CO;
    \$alu #(
        .A_SIGNED(A_SIGNED),
        .B_SIGNED(B_SIGNED),
        .A_WIDTH(A_WIDTH),
        .B_WIDTH(B_WIDTH),
        .Y_WIDTH(Y_WIDTH)
    ) alu (.A(A), .B(B), .CI(IS_SUB), .BI(IS_SUB), .X(X), .Y(Y), .CO(CO));
endmodule
