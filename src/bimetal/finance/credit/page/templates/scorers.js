// The scorers that the page may load, the preferred one first: all of them are the same Program.

export const engines = [
  /*ENGINES*/
];
