// Search puts chapters first, of these the ones whose title says what is looked for, then the reference, then the API.
const asked = (new URLSearchParams(window.location.search).get("q") || "").toLowerCase().trim();
var Scorer = {
  score: ([docname, title, anchor, , score]) => {
    const bare = title.toLowerCase().replace(/^[\d.]+ /, ""); // a chapter's title without its number
    const said = !anchor && asked && asked.split(/\s+/).every((word) => bare.includes(word)) ? 100 * asked.length / bare.length : 0;
    return score + said + (/^\d/.test(docname) ? 200 : docname.startsWith("reference/api") ? -40 : 0);
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 5, 1: 0, 2: -5 },
  objPrioDefault: 0,
  title: 25,
  partialTitle: 12,
  term: 5,
  partialTerm: 2,
};
