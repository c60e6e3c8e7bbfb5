// What a model takes and gives. A raw row is one number a column, categories as their codes.

interface Column {
  readonly name: string;
  readonly kind: "number" | "category" | "array";
  /** How many numbers of the raw row it takes. */
  readonly size: number;
  /** The code of a category is its position here; -1 is one that is not among them. */
  readonly categories: readonly (string | number | bigint)[];
}

/** One row by the names of its columns; what is null, undefined, NaN or absent is missing. */
interface Values {
/*VALUES*/ unknown
}

type Label = /*LABEL*/ unknown;

interface Answered {
  /** One number an output, or one probability a class: the exact float32 of the Program. */
  readonly answers: Float32Array;
  /** The whole numbers that the answers are made from. */
  readonly points: Int32Array;
}

interface Classified extends Answered {
  /** The position of the largest answer; among equals the lowest. */
  readonly index: number;
  /** The label of that position. */
  readonly class: Label;
}

type Prediction = /*PREDICTION*/ unknown;

type Row = ArrayLike<number | bigint | boolean | null | undefined>;

interface Model {
  /** SHA-256 of the Program: columns, operations and classes. */
  readonly id: string;
  readonly columns: readonly Column[];
  readonly classes: readonly Label[];
  /** Named values to a raw row. Throws where a name or a value does not fit. */
  row(values: Values | ReadonlyMap<string, unknown>): Float32Array;
  points(row: Row): Int32Array;
  answers(row: Row): Float32Array;
  /** The position of the largest answer of a raw row. */
  classOf(row: Row): number;
  /** n raw rows one after another to n times the points. */
  pointsMany(rows: Float32Array, n?: number): Int32Array;
  answersMany(rows: Float32Array, n?: number): Float32Array;
  predict(values: Values | ReadonlyMap<string, unknown>): Prediction;
  /** How many of the golden rows stored inside give other answers than they should: 0 is well. */
  selfTest(): number;
}
