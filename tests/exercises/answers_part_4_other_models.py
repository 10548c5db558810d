"""Answers that readers might give to the chapter on other models: right in other styles, and plausibly wrong."""

from itertools import islice

RIGHT, WRONG = "right", "wrong"
ANSWERS = {}

# few_shot: pool, question, template, n -> the prompt


def by_joining(pool, question, template, n):
    blocks = []
    for q, t, s in pool:
        if len(blocks) == n:
            break
        if q == question or t == template:
            continue
        blocks.append("Q: " + q + "\nA: " + s)
    return "\n\n".join([*blocks, "Q: " + question + "\nA:"])


def by_lines(pool, question, template, n):
    lines = []
    for q, _t, s in islice((each for each in pool if each[0] != question and each[1] != template), n):
        lines += [f"Q: {q}", f"A: {s}", ""]
    return "\n".join([*lines, f"Q: {question}", "A:"])


def by_filter(pool, question, template, n):
    allowed = list(filter(lambda each: question not in each[:1] and template not in each[1:2], pool))
    text = ""
    for each in allowed[:n]:
        text += f"Q: {each[0]}\nA: {each[2]}\n\n"
    return text + f"Q: {question}\nA:"


def by_counting_down(pool, question, template, n):
    text, left = "", n
    for q, t, s in pool:
        if left > 0 and not (q == question or t == template):
            text, left = text + f"Q: {q}\nA: {s}\n\n", left - 1
    return f"{text}Q: {question}\nA:"


def shown(pairs, question):
    return "".join(f"Q: {q}\nA: {s}\n\n" for q, s in pairs) + f"Q: {question}\nA:"


ANSWERS["reasoning.other_models.few_shot"] = {
    RIGHT: [by_joining, by_lines, by_filter, by_counting_down],
    WRONG: [
        lambda pool, question, template, n: shown([(q, s) for q, t, s in pool if t != template][:n], question),
        lambda pool, question, template, n: shown([(q, s) for q, t, s in pool if q != question][:n], question),
        lambda pool, question, template, n: shown([(q, s) for q, t, s in pool][:n], question),
        lambda pool, question, template, n: shown(
            [(q, s) for q, t, s in pool if q != question or t != template][:n], question
        ),
        lambda pool, question, template, n: shown(
            [(q, s) for q, t, s in pool[:n] if q != question and t != template], question
        ),
        lambda pool, question, template, n: by_joining(pool, question, template, 99),
        lambda pool, question, template, n: by_joining(pool[::-1], question, template, n),
        lambda pool, question, template, n: by_joining(pool, question, template, n) + " ",
        lambda pool, question, template, n: by_joining(pool, question, template, n) + "\n",
        lambda pool, question, template, n: by_joining(pool, question, template, n)[:-3],
        lambda pool, question, template, n: by_joining(pool, question, template, n).replace("\n\n", "\n"),
        lambda pool, question, template, n: by_joining(pool, question, template, n).replace("Q: ", "Question: "),
        lambda pool, question, template, n: shown(
            [(q, t) for q, t, s in pool if q != question and t != template][:n], question
        ),
        lambda pool, question, template, n: by_joining(pool, question, template, n - 1),
        lambda pool, question, template, n: by_joining(pool, question, template, n + 1),
        lambda pool, question, template, n: shown([(q, s) for q, t, s in pool if t == template][:n], question),
        lambda pool, question, template, n: f"Q: {question}\nA:",
    ],
}

# retried: tries, wait, most -> tokens, failed, waited


def by_while(tries, wait, most):
    i, waited, pause = 0, 0.0, wait
    while i < min(most, len(tries)) and tries[i] is None:
        i += 1
        if i < min(most, len(tries)):
            waited, pause = waited + pause, 2 * pause
    return (tries[i] if i < min(most, len(tries)) else None), i, waited


def by_formula(tries, wait, most):
    some = tries[:most]
    failed = 0
    for each in some:
        if each is not None:
            break
        failed += 1
    n_made = min(failed + 1, len(some))
    return (some[failed] if failed < len(some) else None), failed, wait * (2 ** max(n_made - 1, 0) - 1)


def by_recursion(tries, wait, most):
    if most == 0 or not tries:
        return None, 0, 0.0
    if tries[0] is not None:
        return tries[0], 0, 0.0
    if most == 1 or len(tries) == 1:
        return None, 1, 0.0
    tokens, failed, waited = by_recursion(tries[1:], 2 * wait, most - 1)
    return tokens, failed + 1, waited + wait


def by_first(tries, wait, most):
    some = tries[:most]
    places = [i for i, each in enumerate(some) if each is not None]
    first = places[0] if places else None
    count = len(some) if first is None else first
    pauses = [wait * 2**i for i in range((len(some) if first is None else first + 1) - 1)]
    return (None if first is None else some[first]), count, sum(pauses)


def n_made(tries, most):
    return by_formula(tries, 1.0, most)[1] + (by_formula(tries, 1.0, most)[0] is not None)


ANSWERS["reasoning.other_models.retried"] = {
    RIGHT: [by_while, by_formula, by_recursion, by_first],
    WRONG: [
        lambda tries, wait, most: (*by_first(tries, wait, most)[:2], wait * (n_made(tries, most) - 1)),
        lambda tries, wait, most: (*by_first(tries, wait, most)[:2], wait * sum(range(n_made(tries, most)))),
        lambda tries, wait, most: (*by_first(tries, wait, most)[:2], wait * (2 ** n_made(tries, most) - 1)),
        lambda tries, wait, most: (*by_first(tries, wait, most)[:2], wait * (2 ** by_first(tries, wait, most)[1] - 1)),
        lambda tries, wait, most: (*by_first(tries, wait, most)[:2], 2 * by_first(tries, wait, most)[2]),
        lambda tries, wait, most: (*by_first(tries, wait, most)[:2], 0.0),
        lambda tries, wait, most: (by_first(tries, wait, most)[0], n_made(tries, most), by_first(tries, wait, most)[2]),
        lambda tries, wait, most: (
            sum(each or 0 for each in tries[:most]) or None, tries[:most].count(None),
            wait * (2 ** (len(tries[:most]) - 1) - 1),
        ),
        lambda tries, wait, most: by_first(tries, wait, most + 1),
        lambda tries, wait, most: by_first(tries, wait, most - 1),
        lambda tries, wait, most: by_first(tries, wait, 99),
        lambda tries, wait, most: by_first([each or None for each in tries], wait, most),
        lambda tries, wait, most: (by_first(tries, wait, most)[0] or 0, *by_first(tries, wait, most)[1:]),
        lambda tries, wait, most: by_first(tries, wait, most)[:2],
        lambda tries, wait, most: (by_first(tries, wait, most)[0], 0, by_first(tries, wait, most)[2]),
        lambda tries, wait, most: by_first(tries[::-1], wait, most),
        lambda tries, wait, most: (by_first(tries, wait, most)[0], tries.count(None), by_first(tries, wait, most)[2]),
    ],
}  # fmt: skip
