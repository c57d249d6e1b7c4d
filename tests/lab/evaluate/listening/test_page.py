"""The listening page in a real browser: it plays, switches, loops, keeps and saves ratings."""

import json
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from audiocodec.lab.evaluate.listening.key import KeyTrial, read_key
from audiocodec.lab.evaluate.listening.ratings import analyse
from audiocodec.lab.evaluate.listening.stimuli import KEY, write_listening_test
from audiocodec.lab.evaluate.report_data import Condition, HeardClip
from tests.lab.evaluate.listening.conftest import RATE, row, tone

UNRATED = "\N{EN DASH}"  # in place of a score
LOOP = "[window.listening.player.loopStart, window.listening.player.loopEnd]"
TONES = {  # Hz, of what each system of the tests' clips sounds like
    "hidden reference": {400, 6000},
    "3.5 kHz anchor": {400},
    "ourcodec, 8 kbps": {1000},
    "opuslike, 8 kbps": {2000},
}

# Taps what goes to the loudspeakers: the sum of all gains, as an analyser sees it.
TAP = """() => {
  const player = window.listening.player;
  window.tap = player._context.createAnalyser();
  window.tap.fftSize = 2048;
  window.tap.smoothingTimeConstant = 0;
  for (const gain of Object.values(player._gains)) gain.connect(window.tap);
}"""
HEARD = """() => {
  const bins = new Float32Array(window.tap.frequencyBinCount);
  window.tap.getFloatFrequencyData(bins);
  const width = window.listening.player.sampleRate / window.tap.fftSize;
  return [400, 1000, 2000, 6000].filter((hz) => bins[Math.round(hz / width)] > -40);
}"""
POSITION = "window.listening.player.position"

# Chooses another signal every 60 ms; gives the loudest tone and the position some time after.
STEPS, STEP_S = [500, 1000, 1500, 2000], 0.3
SWITCH_AND_LISTEN = """async () => {
  const { player } = window.listening;
  const buttons = [...document.querySelectorAll("button.choose")];
  window.tap.fftSize = 512; // 32 ms
  const bins = new Float32Array(window.tap.frequencyBinCount);
  const heard = [];
  for (let i = 0; i < 22; i++) {
    buttons[(3 * i) % buttons.length].click();
    await new Promise((resolve) => setTimeout(resolve, 60));
    window.tap.getFloatFrequencyData(bins);
    const loudest = bins.indexOf(Math.max(...bins));
    heard.push([loudest * player.sampleRate / window.tap.fftSize, player.position]);
  }
  return heard;
}"""


@pytest.fixture
def trial(page, listening_folder):
    """The page on the first trial of a listener, its audio loaded."""
    begin(page, listening_folder)
    return page


def begin(page, folder: Path, listener: str = "Ada") -> None:
    """Open the page from its file and begin."""
    page.goto((folder / "listening_test.html").as_uri())
    page.fill("#listener", listener)
    page.click("#begin")
    loaded(page)


def loaded(page) -> None:
    """Wait until a trial can be heard."""
    page.wait_for_function("window.listening.player.samples > 0")


def tap(page) -> None:
    """Play, and listen to what comes out."""
    page.click("#play")
    page.wait_for_function("window.listening.player.playing")
    page.evaluate(TAP)


def heard_soon(page, tones: set[int]) -> None:
    """Wait until exactly these tones are heard."""
    wanted = json.dumps(sorted(tones))
    page.wait_for_function(f"() => JSON.stringify(({HEARD})()) === '{wanted.replace(' ', '')}'")


def key_trial(page, folder: Path) -> KeyTrial:
    """The key of the trial that is on the page."""
    ids = page.evaluate(
        "[...document.querySelectorAll('.condition')].map(c => c.dataset.condition)"
    )
    return next(t for t in read_key(folder / KEY).trials if set(ids) == t.conditions.keys())


def scores(page) -> list[str]:
    """As the page shows them, in its order."""
    return page.locator(".condition output").all_inner_texts()


def rate_all(page, values: dict[str, int], folder: Path) -> None:
    """Rate each system of the trial on the page by moving its slider."""
    for name, what in key_trial(page, folder).conditions.items():
        slider = page.locator(f"[data-condition='{name}'] input")
        slider.fill(str(values[what.system]))


def test_each_button_lets_its_own_signal_be_heard(trial, listening_folder):
    """And nothing else: the tones of what the key says, the reference to start with."""
    tap(trial)
    heard_soon(trial, {400, 6000})
    for name, what in key_trial(trial, listening_folder).conditions.items():
        trial.click(f"[data-condition='{name}'] button")
        heard_soon(trial, TONES[what.system])
        assert trial.get_attribute(f"[data-condition='{name}'] button", "aria-pressed") == "true"
    trial.keyboard.press("r")
    heard_soon(trial, {400, 6000})


def test_switching_keeps_the_position(page, tmp_path):
    """Every signal steps through four tones: after a switch the tone is that of the position."""
    steps = np.concatenate([tone(hz)[: int(STEP_S * RATE)] for hz in STEPS])
    paths = [tmp_path / f"{name}.flac" for name in ("reference", "one", "two")]
    for path, level in zip(paths, (1.0, 0.9, 0.8)):
        sf.write(path, level * steps, RATE, subtype="PCM_16")
    made = tuple(Condition(row("c", "music", path.stem), path) for path in paths[1:])
    write_listening_test(tmp_path, "t", [HeardClip("c", "music", paths[0], made)])
    begin(page, tmp_path)
    tap(page)
    heard = page.evaluate(SWITCH_AND_LISTEN)
    assert len(heard) == 22
    assert len({tone for tone, _ in heard}) == 4
    for frequency, position in heard:
        step = position / STEP_S
        if 0.2 < step % 1 < 0.95:  # elsewhere the analyser still hears the tone before
            assert frequency == STEPS[int(step)]


def test_all_signals_are_channels_of_one_source_and_one_gain_is_open(trial):
    """So none can run ahead of another, and a switch adds nothing to the sound."""
    tap(trial)
    assert trial.evaluate("window.listening.player._source.buffer.numberOfChannels") == 5
    trial.keyboard.press("b")
    trial.wait_for_timeout(100)
    gains = trial.evaluate("Object.values(window.listening.player._gains).map(g => g.gain.value)")
    assert sorted(gains) == [0, 0, 0, 0, 1]


def test_pause_stops_and_play_goes_on_from_there(trial):
    """Space does both; the button says which comes next."""
    trial.keyboard.press("Space")
    trial.wait_for_function(f"{POSITION} > 0.2")
    assert trial.inner_text("#play") == "Pause"
    trial.keyboard.press("Space")
    paused = trial.evaluate(POSITION)
    trial.wait_for_timeout(50)
    assert trial.evaluate(POSITION) == paused
    assert trial.inner_text("#play") == "Play"
    trial.keyboard.press("Space")
    trial.wait_for_function(f"{POSITION} > {paused}")


def test_a_loop_stays_within_its_region(trial):
    """Dragging over the waveform marks it; playing wraps at its end."""
    box = trial.locator("#wave").bounding_box()
    y = box["y"] + box["height"] / 2
    trial.mouse.move(box["x"] + box["width"] * 0.25, y)
    trial.mouse.down()
    trial.mouse.move(box["x"] + box["width"] * 0.5, y, steps=4)
    trial.mouse.up()
    start, end = trial.evaluate(
        "[window.listening.player.loopStart, window.listening.player.loopEnd]"
    )
    assert (start, end) == pytest.approx((0.5, 1.0), abs=0.02)
    tap(trial)
    positions = trial.evaluate("""async () => {
      const seen = [];
      for (let i = 0; i < 35; i++) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        seen.push(window.listening.player.position);
      }
      return seen;
    }""")
    assert all(start <= position < end for position in positions)
    assert any(later < earlier for earlier, later in pairwise(positions))


def test_keys_and_sliders_set_the_loop(trial):
    """[ and ] take the position, Esc the whole clip; a loop is never under half a second."""
    box = trial.locator("#wave").bounding_box()

    def loop() -> tuple[float, float]:
        return tuple(trial.evaluate(LOOP))

    trial.mouse.click(box["x"] + box["width"] * 0.5, box["y"] + 20)
    trial.keyboard.press("[")
    assert loop() == pytest.approx((1.0, 2.0), abs=0.02)
    trial.keyboard.press("]")
    assert loop() == pytest.approx((1.0, 1.5), abs=0.02)
    trial.keyboard.press("Escape")
    assert loop() == (0, 2)
    trial.locator("#loop-start").fill("0.3")
    trial.locator("#loop-end").fill("1.7")
    assert loop() == pytest.approx((0.3, 1.7), abs=0.02)
    trial.click("#whole")
    assert loop() == (0, 2)


def test_a_changed_loop_keeps_playing_the_chosen_signal(trial):
    """While it runs too."""
    tap(trial)
    heard_soon(trial, {400, 6000})
    trial.locator("#loop-end").fill("1.0")
    heard_soon(trial, {400, 6000})
    trial.wait_for_function(f"{POSITION} < 0.5")


def test_arrows_rate_what_is_heard_and_leave_the_reference_alone(trial):
    """From 50 by 1, with Shift by 5; a slider in focus moves by itself and is chosen."""
    trial.keyboard.press("ArrowUp")
    assert scores(trial) == [UNRATED] * 4
    trial.keyboard.press("2")
    for key in ("ArrowUp", "ArrowRight", "Shift+ArrowUp", "ArrowDown"):
        trial.keyboard.press(key)
    assert scores(trial) == [UNRATED, "56", UNRATED, UNRATED]
    trial.locator(".condition input").nth(3).focus()
    assert trial.locator(".condition.chosen output").inner_text() == UNRATED
    trial.keyboard.press("ArrowUp")
    assert scores(trial) == [UNRATED, "56", UNRATED, "51"]
    trial.keyboard.press("c")  # takes the focus along
    trial.keyboard.press("ArrowDown")
    assert scores(trial) == [UNRATED, "56", "49", "51"]
    trial.keyboard.press("r")
    trial.keyboard.press("ArrowDown")
    assert scores(trial) == [UNRATED, "56", "49", "51"]


def test_a_slider_that_was_not_moved_is_marked_and_stops_the_next_trial(trial):
    """The page says which; a click on a slider where it stands is a rating."""
    assert trial.locator(".unrated").count() == 4
    trial.keyboard.press("a")
    trial.keyboard.press("ArrowUp")
    trial.click("#next")
    assert trial.inner_text("#hint").startswith("Not rated yet: B, C, D.")
    assert trial.locator(".missed").count() == 3
    assert trial.inner_text("#heading") == "Trial 1 of 2"
    trial.locator(".condition input").nth(1).click()
    assert trial.locator(".unrated").count() == 2


def test_the_page_hints_at_the_reference_but_does_not_force_it(trial, listening_folder):
    """All rated, none 100: a hint; Next goes on."""
    rate_all(trial, dict.fromkeys(TONES, 60), listening_folder)
    assert "rate it 100" in trial.inner_text("#hint")
    trial.keyboard.press("n")
    loaded(trial)
    assert trial.inner_text("#heading") == "Trial 2 of 2"
    trial.keyboard.press("p")
    assert trial.inner_text("#heading") == "Trial 1 of 2"
    assert scores(trial) == ["60"] * 4


def test_a_reload_loses_nothing(trial, listening_folder):
    """Trial, scores, comment and order are as before."""
    rate_all(trial, dict.fromkeys(TONES, 70), listening_folder)
    trial.click("#next")
    loaded(trial)
    trial.keyboard.press("a")
    trial.keyboard.press("ArrowDown")
    trial.fill("#comment", "Space n p 0 are letters here")
    order = trial.evaluate("window.listening.store.current().trials")
    trial.reload()
    loaded(trial)
    assert trial.inner_text("#heading") == "Trial 2 of 2"
    assert scores(trial) == ["49", UNRATED, UNRATED, UNRATED]
    assert trial.input_value("#comment") == "Space n p 0 are letters here"
    again = trial.evaluate("window.listening.store.current().trials")
    for kept in (*order, *again):
        kept.pop("seconds")
    assert again == order


def test_orders_follow_from_the_listener(page, listening_folder):
    """The same name hears the same order, and over names conditions come at every place."""
    page.goto((listening_folder / "listening_test.html").as_uri())
    orders = page.evaluate("""[..."abcdefghijkl", "a"].map((name) =>
      newSession(window.listening.test, name, new Date()).trials.map((t) => t.conditions))""")
    assert orders[0] == orders[-1]
    first = read_key(listening_folder / KEY).trials[0].conditions
    places = {tuple(c) for order in orders for c in order if set(c) == first.keys()}
    for name in first:
        assert len({order.index(name) for order in places}) >= 3


def test_practice_keeps_nothing(page, listening_folder):
    """It plays and rates like a trial, and leads back to the start."""
    page.goto((listening_folder / "listening_test.html").as_uri())
    page.click("#practise")
    loaded(page)
    tap(page)
    page.keyboard.press("1")
    page.keyboard.press("ArrowUp")
    page.click("#next")
    assert page.is_visible("#start")
    assert not page.evaluate("window.listening.player.playing")
    page.reload()
    assert page.is_visible("#start")


def test_an_odd_name_is_refused(page, listening_folder):
    """The analysis would refuse it later."""
    page.goto((listening_folder / "listening_test.html").as_uri())
    page.fill("#listener", "=cmd()|x")
    page.click("#begin")
    assert page.is_visible("#start")
    assert "letters" in page.inner_text("#start-note")


def test_what_the_browser_kept_may_be_damaged(page, listening_folder):
    """The page starts anew then."""
    for stored in ("{", "[]", '{"sessions": {"Ada": {"trials": 3}}}'):
        page.goto((listening_folder / "listening_test.html").as_uri())
        page.evaluate("text => localStorage.setItem(window.listening.store._key, text)", stored)
        begin(page, listening_folder)
        assert scores(page) == [UNRATED] * 4


def test_the_page_works_where_the_browser_keeps_nothing(page, listening_folder):
    """It says so, and runs."""
    page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new Error('blocked'); } })"
    )
    page.goto((listening_folder / "listening_test.html").as_uri())
    assert "keeps nothing" in page.inner_text("#start-note")
    begin(page, listening_folder)
    page.keyboard.press("1")
    page.keyboard.press("ArrowUp")
    assert scores(page)[0] == "51"


def test_saved_ratings_are_what_the_analysis_reads(page, listening_folder, tmp_path):
    """JSON and CSV, by download, give the same means, at the right systems."""
    values = {"hidden reference": 100, "3.5 kHz anchor": 20, "ourcodec, 8 kbps": 70}
    values["opuslike, 8 kbps"] = 40
    begin(page, listening_folder, "Zoë 7")
    tap(page)
    page.keyboard.press("1")
    page.keyboard.press("Space")
    page.fill("#comment", '=hissing, "bright"\nand more')
    for _ in range(2):
        rate_all(page, values, listening_folder)
        page.click("#next")
        page.wait_for_timeout(50)
    page.fill("#remarks", "Nice tones")
    files = []
    for ending in ("json", "csv"):
        with page.expect_download() as download:
            page.click(f"#save-{ending}")
        files.append(tmp_path / download.value.suggested_filename)
        download.value.save_as(files[-1])
    assert "Thank you" in page.inner_text("#saved")
    of_json, of_csv = (analyse([file], listening_folder / KEY) for file in files)
    assert of_json.ratings == of_csv.ratings
    found = {mean.system: mean.mean for mean in of_json.means if mean.kind == "all"}
    assert found == values
    assert [listener.excluded for listener in of_json.listeners] == [""]
    answers = [rating.answer for rating in of_json.ratings]
    assert sum(answer.plays for answer in answers) == 1
    assert {answer.listener for answer in answers} == {"Zoë 7"}
    assert {answer.remarks for answer in answers} == {"Nice tones"}
    assert answers[0].comment == '=hissing, "bright" and more'
    page.click("#another")
    assert page.is_visible("#start")


def test_a_missing_trial_file_is_said(page, listening_folder, tmp_path):
    """By name, on the page."""
    folder = tmp_path / "copy"
    shutil.copytree(listening_folder, folder)
    for path in folder.glob("listening/trial_*.js"):
        path.write_text("")
    page.goto((folder / "listening_test.html").as_uri())
    page.click("#practise")
    page.wait_for_function("document.getElementById('hint').textContent.includes('cannot be')")


def test_nothing_is_wider_than_the_screen(trial):
    """On a desk, a tablet and a phone."""
    for width, height in ((1200, 900), (720, 900), (360, 740)):
        trial.set_viewport_size({"width": width, "height": height})
        assert trial.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_has_a_name(trial):
    """A label or aria-label for each button, slider and field."""
    nameless = trial.evaluate("""[...document.querySelectorAll("button, input, textarea, output")]
      .filter((e) => !(e.getAttribute("aria-label") || e.labels?.length || e.textContent.trim()))
      .map((e) => e.outerHTML)""")
    assert nameless == []
