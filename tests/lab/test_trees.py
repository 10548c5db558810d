"""A search as it is drawn: every question once, in its order, and what is left out is said."""

from insideout.data.problems import Countdown
from insideout.lab.figures.trees import grown, searched
from insideout.reasoning.countdown_tree import CountdownTree
from insideout.reasoning.search import beam, depth_first, search, walks

GAME = Countdown([3]).question([3, 5, 7], 26).truth


def words(node):
    return node.move.step.text if node.move else "start"


def test_what_is_watched_is_what_runs():
    problem = CountdownTree(GAME, evaluator=lambda state: 0.5)
    for strategy in (beam(2), depth_first(0.2), walks(3)):
        found, watched = search(problem, strategy, seed=1), grown(problem, strategy, seed=1)
        assert len(watched.asked) == found.expanded
        assert watched.end.state == found.state


def test_a_frame_a_question_and_the_solution_in_the_last():
    live = searched(CountdownTree(GAME), depth_first(0.5), words, keep=2)
    assert len(live.data["frames"]) == 2
    last = live.stills[-1].svg()
    assert "21+5=26" in last and "7*3=21" in last and "and 7 more" in last


def test_a_search_that_ran_out_of_its_budget_is_drawn_too():
    live = searched(CountdownTree(GAME, evaluator=lambda state: 0.0), depth_first(0.0), words, budget=2)
    assert len(live.data["frames"]) == 2
