// How many answers of a service are looked at.
export const length = 20;

// How many answers in a row make a move from one side to another.
const sure = 3;

// side is who answers, by the last answers. Each has by, the name of who answered, and problem if the
// request was lost. While two answer by turns, as with a canary, the side is both: "api and users".
// It stays so until all of the last answers are of one. Before is the side until now.
export function side(answers, before) {
  const by = answers.filter((answer) => !answer.problem).map((answer) => answer.by ?? "a service without a name");
  const all = [...new Set(by)].sort();
  if (all.length === 0) return before;
  if (all.length === 1) return all[0];
  const moves = by.filter((name, i) => i > 0 && name !== by[i - 1]).length;
  if (moves > 1) return all.join(" and ");
  const last = by.slice(-sure);
  return last.every((name) => name === last[0]) && by.includes(before) ? last[0] : before;
}

// shares says which part of the answers came from whom: "api 60 %, users 40 %".
export function shares(answers) {
  const counts = new Map();
  for (const answer of answers) {
    const name = answer.problem ? "lost" : answer.by ?? "not named";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, n]) => `${name} ${Math.round((100 * n) / answers.length)} %`).join(", ");
}
