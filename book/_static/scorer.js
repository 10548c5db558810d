// Search puts chapters before the reference, and the reference before the API's objects.
var Scorer = {
  score: ([docname, , , , score]) => score + (/^\d/.test(docname) ? 40 : docname.startsWith("reference/api") ? -40 : 0),
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 5, 1: 0, 2: -5 },
  objPrioDefault: 0,
  title: 25,
  partialTitle: 12,
  term: 5,
  partialTerm: 2,
};
