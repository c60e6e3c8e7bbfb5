// Runs raw rows through models and packs what they give: points, answers, rows whose golden answers
// are wrong. Shared by Node and by a page.

/** Return bytes as base64, some at a time: a call takes only so many arguments. */
function base64(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return btoa(text);
}

/** Return what one model gives for rows that stand one after another. */
function outcomeOf(model, rows) {
  const points = model.pointsMany(rows);
  const answers = model.answersMany(rows);
  return { points: base64(new Uint8Array(points.buffer)), answers: base64(new Uint8Array(answers.buffer)), wrong: model.selfTest(), id: model.id };
}
