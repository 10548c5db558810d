"""Which cells only keep books, by rule: claims, intervals, rounding, sentences chosen. These are folded.

A statement keeps books when all it does is to call one of BOOKS, or to name, round or format what such a call gave. A
cell is folded when all of its statements keep books. Nothing is marked by hand, on the pages or in the notebooks.
"""

import ast

BOOKS = {
    "claim", "claim_less", "claim_mean", "difference", "interval", "near", "round", "rounded", "say", "with_unit",
}  # fmt: skip
"""Functions that record, round or choose words, and compute nothing that a reader came for."""
CLAIMS = {"claim", "claim_less", "claim_mean"}


def called(node: ast.AST) -> str:
    """The name of the function that a call calls, or nothing."""
    return node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""


def is_books(value: ast.expr) -> bool:
    """Is this value a claim, a rounding, a sentence, or a part, a tuple or a list of such?"""
    if any(called(node) in CLAIMS for node in ast.walk(value)):
        return True
    if isinstance(value, ast.Attribute | ast.Subscript):
        return is_books(value.value)
    if isinstance(value, ast.Tuple | ast.List):
        return bool(value.elts) and all(map(is_books, value.elts))
    if isinstance(value, ast.GeneratorExp | ast.ListComp):
        return is_books(value.elt)
    if isinstance(value, ast.DictComp):
        return is_books(value.value)
    if isinstance(value, ast.JoinedStr):  # a number written with so many digits; other words are the lesson's
        return any(isinstance(part, ast.FormattedValue) and part.format_spec for part in value.values)
    return called(value) in BOOKS


def keeps_books(statement: ast.stmt) -> bool:
    """Does this statement do nothing but keep books?"""
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr) and statement.value is not None:
        return is_books(statement.value)
    if isinstance(statement, ast.For | ast.If | ast.With):
        return all(map(keeps_books, statement.body))
    return False


def statements(code: str) -> list[ast.stmt]:
    """The statements of a cell; none for what is not plain Python."""
    try:
        return ast.parse(code).body
    except SyntaxError:
        return []


def is_folded(code: str) -> bool:
    """Is this a cell that only keeps books?"""
    body = statements(code)
    return bool(body) and all(map(keeps_books, body))
