"""The league table as a page: who leads, what is significant, how it was compared."""

from __future__ import annotations

from collections.abc import Sequence

from unstained.config import StudyData
from unstained.registry.standings import Entry, League, Versus, findings, metric_words, number
from unstained.report.figures import ForestRow, forest
from unstained.report.page import (
    Block,
    Cell,
    Definitions,
    Page,
    Plots,
    Section,
    Table,
    Text,
    Tile,
    Verdict,
    render,
    svg_picture,
)
from unstained.statistics.intervals import Estimate


def league_page(league: League, data: StudyData) -> str:
    """The page as one HTML file."""
    sections = [_standings(league, data), _differences(league), _method(league)]
    if league["not_comparable"]:
        sections.append(_others(league))
    page = Page(
        title=f"{data.title}: league of models",
        question="Which registered model is best on the same test cells, and is it really better?",
        kicker=f"Study {league['study']}, registered model {league['name']}",
        verdict=_verdict(league),
        sections=sections,
        simulated=league["simulated"],
        footer=f"Data {league['data_digest'][:12]}, split {league['split_digest'][:12]}.",
    )
    return render(page)


def _verdict(league: League) -> Verdict:
    first, *rest = findings(league)
    leader, champion = league["entries"][0], league["champion"]
    metric = metric_words(league)
    tiles = (
        Tile(f"{metric} of the leader", f"{leader['value']:.3f}", _span(leader)),
        Tile("champion", "none" if champion is None else f"v{champion}", "serves predictions"),
        Tile("versions compared", str(len(league["entries"])), _cells(league)),
    )
    return Verdict("neutral", first, tuple(rest), tiles)


def _standings(league: League, data: StudyData) -> Section:
    metric = metric_words(league)
    targets = list(league["entries"][0]["r"])
    measures = ("accuracy", "worst class", "calibration error", *(f"r {t}" for t in targets))
    table = Table(
        caption=f"Versions by {metric} on the test cells",
        columns=("version", metric, *measures, "ms a cell"),
        rows=tuple(_standing(entry, targets) for entry in league["entries"]),
        note="Worst class: lowest recall of any class. Calibration error: mean difference between "
        "stated confidence and the fraction right. Milliseconds: median time of the ONNX graph "
        "for one cell.",
    )
    rows = [
        ForestRow(_name(e), Estimate(e["value"], e["low"], e["high"]), None, is_model=True)
        for e in league["entries"]
    ]
    chance = 1 / len(data.class_names)
    plot = svg_picture(
        forest(rows, metric, chance, "", ""),
        "; ".join(f"{_name(e)} {e['value']:.3f}, {_span(e)}" for e in league["entries"]),
        720,
    )
    caption = (
        f"{metric} with {league['confidence']:.0%} intervals. Intervals that overlap do not "
        "mean that models are equal: the pairs below are the finer comparison."
    )
    return Section(
        key="standings",
        title="Standings",
        short="Standings",
        lead=f"All versions predict the same {_cells(league)}.",
        blocks=(table, Plots(caption, (plot,))),
    )


def _standing(entry: Entry, targets: list[str]) -> tuple[Cell, ...]:
    aliases = [*entry["aliases"], *(["new"] if entry["new"] else [])]
    strong = "champion" in entry["aliases"]
    return (
        Cell(_name(entry), ", ".join(aliases), strong=strong),
        Cell(f"{entry['value']:.3f}", _span(entry), shade=entry["value"], strong=strong),
        Cell(f"{entry['accuracy']:.3f}"),
        Cell(f"{entry['min_class_recall']:.3f}"),
        Cell(f"{entry['ece']:.3f}"),
        *(Cell(number(entry["r"][name])) for name in targets),
        Cell(f"{entry['latency_ms']:.1f}", "" if entry["parity_passed"] else "parity failed"),
    )


def _differences(league: League) -> Section:
    blocks: list[Block] = []
    leads = league["champion"] == league["leader"]
    pairs = [(entry, entry["versus_leader"]) for entry in league["entries"]]
    word = "leader and champion" if leads else "leader"
    blocks += _differences_to(league, f"{word}, v{league['leader']}", pairs)
    if not leads:
        pairs = [(entry, entry["versus_champion"]) for entry in league["entries"]]
        blocks += _differences_to(league, f"champion, v{league['champion']}", pairs)
    if not blocks:
        blocks.append(Text(("There is only one version: nothing to compare it with yet.",)))
    caveats = sorted({test["caveat"] for test in league["tests"] if test["caveat"]})
    if caveats:
        blocks.append(Text(tuple(f"Note: {caveat}." for caveat in caveats)))
    return Section(
        key="differences",
        title="Differences",
        short="Differences",
        lead="The same cells, predicted by two models at a time.",
        blocks=tuple(blocks),
    )


def _differences_to(
    league: League, opponent: str, pairs: Sequence[tuple[Entry, Versus | None]]
) -> list[Block]:
    rows = tuple(_difference(league, entry, found) for entry, found in pairs if found is not None)
    columns = ("version", "difference", "p", "p adjusted", "p McNemar", "verdict")
    return [Table(f"Each version minus the {opponent}", columns, rows)] if rows else []


def _difference(league: League, entry: Entry, found: Versus) -> tuple[Cell, ...]:
    significant = found["p_adjusted"] < league["alpha"]
    side = "better" if found["difference"] > 0 else "worse"
    return (
        Cell(_name(entry)),
        Cell(f"{found['difference']:+.4f}", f"{found['low']:+.4f} to {found['high']:+.4f}"),
        Cell(_p(found["p"])),
        Cell(_p(found["p_adjusted"])),
        Cell(_p(found["p_mcnemar"])),
        Cell(f"significantly {side}" if significant else "not distinguishable", strong=significant),
    )


def _method(league: League) -> Section:
    floors = [test["p_floor"] for test in league["tests"]]
    items = [
        (
            "p",
            "Two-sided permutation test: the two models' predictions are exchanged group by group, "
            "because cells of one group are not independent."
            + (f" With these groups it cannot fall below {max(floors):.3g}." if floors else ""),
        ),
        (
            "p adjusted",
            f"The same, adjusted for the number of versions compared ({league['correction']}); "
            f"below {league['alpha']:g} a difference is called significant.",
        ),
        (
            "p McNemar",
            "McNemar's test on cells that only one of the two models calls right. It takes cells "
            "as independent and is too optimistic where groups differ; shown for comparison.",
        ),
        (
            "difference",
            f"Difference in {metric_words(league)} with a "
            f"{league['confidence']:.0%} bootstrap interval that resamples groups.",
        ),
        (
            "champion",
            "The version that serves. It is replaced only through the gate of the stage promote.",
        ),
    ]
    return Section(
        key="method",
        title="How it was compared",
        short="Method",
        lead="Nothing is compared across different cells.",
        blocks=(Definitions(tuple(items)),),
    )


def _others(league: League) -> Section:
    rows = tuple(
        (
            Cell(f"v{other['version']} {other['model']}", ", ".join(other["aliases"])),
            Cell(other["reason"]),
        )
        for other in league["not_comparable"]
    )
    return Section(
        key="others",
        title="Not comparable",
        short="Not comparable",
        lead="Versions that were evaluated on other cells have no place in the table.",
        blocks=(Table("Versions left out", ("version", "why"), rows),),
    )


def _name(entry: Entry) -> str:
    return f"v{entry['version']} {entry['model']}"


def _span(entry: Entry) -> str:
    return f"{entry['low']:.3f} to {entry['high']:.3f}"


def _cells(league: League) -> str:
    return f"{league['test_cells']:,} test cells in {league['test_groups']} groups"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
