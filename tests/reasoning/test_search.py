"""Searches on Countdown, whose truth is known, and on small trees that can be followed by hand."""

from collections import Counter
from typing import ClassVar

import pytest

from insideout.data.problems import Countdown
from insideout.data.problems.countdown import chance, expression_of
from insideout.errors import BadInput
from insideout.reasoning.countdown_tree import CountdownTree
from insideout.reasoning.search import (
    Branch,
    Tree,
    beam,
    depth_first,
    dialled,
    mcts,
    puct,
    search,
    simulate,
    uct,
    walks,
)

SUITE = Countdown([3, 4])
QUESTIONS = SUITE.draw("test", 16, seed=0)
GAMES = [question.truth for question in QUESTIONS]


def rated(strategy, budget=None, **settings):
    return sum(search(CountdownTree(game, **settings), strategy, budget=budget).solved for game in GAMES) / len(GAMES)


STRATEGIES = {
    "beam": beam(3), "breadth first": beam(None), "depth first": depth_first(0.5), "uct": mcts(45, rule="uct"),
    "puct": mcts(45), "uct of playouts": mcts(45, rule="uct", playouts=True),
}  # fmt: skip


@pytest.mark.parametrize("name", ["beam", "depth first", "uct", "puct"])
def test_with_a_perfect_value_every_search_solves_every_game(name):
    for question in QUESTIONS:
        found = search(CountdownTree(question.truth), STRATEGIES[name])
        assert found.solved and found.state == (question.truth.target,)
        text = expression_of([move.step for move in found.moves], question.truth.numbers)
        assert SUITE.judge(question, f"#### {text}")["strict"], text


def test_a_perfect_value_never_goes_wrong_and_costs_one_expansion_a_step():
    for game in GAMES:
        found = search(CountdownTree(game), depth_first(0.5))
        assert found.expanded == len(found.moves) == len(game.numbers) - 1


def test_breadth_first_without_a_beam_finds_whatever_there_is_and_evaluates_nothing():
    found = [search(CountdownTree(game), beam(None)) for game in GAMES[:6]]
    assert all(each.solved and each.evaluated == 0 for each in found)


@pytest.mark.parametrize("seed", range(5))
def test_without_simulations_the_tree_search_is_a_walk(seed):
    simulating, walking = mcts(0), walks(1)
    for game in GAMES[:8]:
        policy = lambda state, moves: [1 + len(move.text) % 3 for move in moves]  # noqa: E731
        problem = CountdownTree(game, policy)
        assert search(problem, simulating, seed=seed)[:3] == search(problem, walking, seed=seed)[:3]


def test_walks_solve_as_often_as_chance_says():
    game = Countdown([2, 3]).question([2, 3], 6).truth
    expected, tries = chance(game.numbers, game.target), 300
    for strategy, share in ((walks(1), expected), (walks(2), 1 - (1 - expected) ** 2)):
        won = sum(search(CountdownTree(game), strategy, seed=seed).solved for seed in range(tries))
        assert abs(won / tries - share) < 0.12  # over four standard errors


def test_more_simulations_and_a_better_evaluator_solve_more():
    truth = {game: CountdownTree(game).truth for game in GAMES}
    shares, strategy = [], beam(2)
    for quality in (0.0, 0.7, 1.0):
        solved = [
            search(CountdownTree(game, evaluator=dialled(truth[game], quality)), strategy, budget=6).solved
            for game in GAMES
        ]
        shares.append(sum(solved) / len(solved))
    assert shares[0] < shares[1] < shares[2] == 1.0
    assert rated(mcts(0)) <= rated(mcts(5)) <= rated(mcts(45)) == 1.0


def test_the_budget_is_kept_and_what_runs_out_of_it_says_so():
    for strategy in (*STRATEGIES.values(), walks(50)):
        found = search(CountdownTree(GAMES[1], evaluator=lambda state: 0.5), strategy, budget=2)
        assert found.expanded <= 2 and found.solved in (True, False)
    found = search(CountdownTree(GAMES[1], evaluator=lambda state: 0.0), mcts(10**6), budget=3)
    assert found.expanded == 3


class Small:
    """A tree by hand: letters lead on; ends in capitals."""

    start = ""
    tree: ClassVar = {"": "ab", "a": "cD", "b": "EF", "c": "GH"}

    def __init__(self, values=None, solutions=None):
        self.values, self.solutions, self.asked = values or {}, solutions, []

    def branches(self, state):
        self.asked.append(state)
        return [Branch(letter, letter, 1.0 + (letter in "aD")) for letter in self.tree.get(state, "")]

    def value(self, state):
        return self.values.get(state, 0.5)

    def solved(self, state):
        return None if self.solutions is None else state in list(self.solutions)


def test_depth_first_goes_back_from_what_failed_and_prunes():
    problem = Small({"a": 0.9, "b": 0.6, "c": 0.8, "D": 0.1, "F": 0.7}, solutions="E")
    found = search(problem, depth_first(0.2))
    assert problem.asked == ["", "a", "c", "G", "H", "b"] and found.moves == ("b", "E"), "D is never visited"
    assert search(Small({"b": 0.1}, solutions="E"), depth_first(0.2)).solved is False
    unchecked = search(Small({"b": 0.6, "F": 0.9}), depth_first())
    assert unchecked.moves == ("b", "F") and unchecked.solved is None, "the first end, where nothing can be checked"


def test_a_beam_keeps_the_most_promising_of_each_depth():
    values = {"a": 0.4, "b": 0.6, "E": 0.3, "F": 0.9}
    assert search(Small(values), beam(1)).moves == ("b", "F")
    assert search(Small(values, solutions="G"), beam(1)).solved is False
    assert search(Small(values | {"c": 0.2}, solutions="G"), beam(2)).solved is False, "D and F push c out"
    assert search(Small(values | {"c": 0.95}, solutions="G"), beam(2)).moves == ("a", "c", "G")


def test_an_unchecked_end_is_as_good_as_its_value():
    for strategy in (mcts(40), mcts(40, rule="uct")):
        found = search(Small({"F": 1.0, "G": 0.0, "H": 0.0, "D": 0.1, "E": 0.1}), strategy)
        assert found.moves == ("b", "F") and found.solved is None
    assert search(Small({"F": 1.0}), walks(40)).moves == ("b", "F")


@pytest.mark.parametrize("rule", ["uct", "puct"])
def test_visits_add_up_and_a_mean_is_of_what_was_found_below(rule):
    tree = Tree(Small({"D": 0.2, "E": 0.4}))
    seen = Counter()

    def look(node):
        if node.children:
            below = sum(child.visits for child in node.children)
            seen[node.state] = below
            assert node.visits in (below, below + 1), "one visit of a node is its own evaluation"
            for child in node.children:
                look(child)

    tree.children(tree.root)
    for _ in range(50):
        simulate(tree, tree.root, lambda p, c: (uct if rule == "uct" else puct)(p, c, 1.4), False)
    look(tree.root)
    assert tree.root.visits == 50 and seen[""] == 50
    ends = [node for node in tree.ends if node.state == "D"]
    assert ends[0].mean == pytest.approx(0.2)


def test_puct_follows_the_prior_and_uct_tries_everything():
    counts = {}
    for score in (uct, puct):
        tree = Tree(Small(solutions=" "))  # nothing is worth anything
        tree.problem.value = lambda state: 0.0
        tree.children(tree.root)
        for _ in range(30):
            simulate(tree, tree.root, lambda parent, child, score=score: score(parent, child, 1.4), False)
        counts[score] = {child.state: child.visits for child in tree.root.children}
    assert counts[puct] == {"a": 20, "b": 10}, "as their priors are, 2 to 1"
    assert counts[uct] == {"a": 15, "b": 15}


def test_a_dialled_evaluator_says_the_same_again():
    told = dialled(lambda state: 1.0, 0.5)
    states = [(i, i + 1) for i in range(400)]
    values = [told(state) for state in states]
    assert values == [told(state) for state in states] and 150 < values.count(1.0) < 250
    assert dialled(lambda state: 0.25, 1.0)((1,)) == 0.25


class Broken(Small):
    def __init__(self, prior=1.0, value=0.5):
        super().__init__()
        self.prior, self.said = prior, value

    def branches(self, state):
        return [Branch(letter, letter, self.prior) for letter in self.tree.get(state, "")]

    def value(self, state):
        return self.said


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: search(Small(), walks(0)), "n is 0"), (lambda: beam(0), "width is 0"),
        (lambda: mcts(-1), "simulations is -1"), (lambda: mcts(1, c=-1.0), "c from 0 on"),
        (lambda: depth_first(1.5), "between 0 and 1"), (lambda: search(Small(), beam(), budget=0), "at least 1"),
        (lambda: dialled(lambda state: 1.0, 1.5), "between 0 and 1"),
        (lambda: search(Broken(prior=0.0), walks()), "no probabilities"),
        (lambda: search(Broken(prior=-1.0), walks()), "no probabilities"),
        (lambda: search(Broken(value=1.5), beam()), "between 0 and 1"),
        (lambda: search(Broken(value=float("nan")), beam()), "between 0 and 1"),
    ],
)  # fmt: skip
def test_bad_input_is_one_sentence(make, says):
    with pytest.raises(BadInput, match=says):
        make()
