"""The page in a real browser: players play, switching keeps the position, keys work."""

from pathlib import Path
from typing import Any

import pytest

PLAYING = "player => [...player.querySelectorAll('audio')].map(a => !a.paused)"
WATCH = """(player, target) => {
    const [from, to] = [2, target].map(i => player.querySelectorAll('audio')[i]);
    from.addEventListener('pause', () => { player.dataset.stopped = from.currentTime; });
    to.addEventListener('playing', () => { player.dataset.started = to.currentTime; });
}"""
TIME = "player => [...player.querySelectorAll('audio')].find(a => !a.paused)?.currentTime"


@pytest.fixture
def player(page: Any, folder: Path) -> Any:
    """The first player of the page."""
    page.goto((folder / "index.html").as_uri())
    return page.locator(".player").first


def until(page: Any, player: Any, condition: str) -> None:
    """Wait until a function of the player's element is true."""
    page.wait_for_function(condition, arg=player.element_handle(), timeout=20000)


def heard(player: Any) -> list[int]:
    """Which sounds play."""
    return [i for i, plays in enumerate(player.evaluate(PLAYING)) if plays]


def start(page: Any, player: Any) -> None:
    """Press play, and wait until half a second was heard."""
    player.locator(".play").click()
    until(page, player, f"p => (({TIME})(p) ?? 0) > 0.5")


def test_play_plays_and_pause_pauses(page: Any, player: Any) -> None:
    """Time goes on, then stands still; the button says which."""
    start(page, player)
    assert heard(player) == [2]  # the model at its highest rate
    assert player.locator(".play").get_attribute("aria-label") == "Pause"
    player.locator(".play").click()
    assert heard(player) == []
    stands = player.locator(".clock").inner_text()
    page.wait_for_timeout(200)
    assert player.locator(".clock").inner_text() == stands


@pytest.mark.parametrize("target", [0, 1, 5])
def test_switching_keeps_the_position_and_goes_on(page: Any, player: Any, target: int) -> None:
    """The one sound starts within a tenth of a second of where the other stopped."""
    start(page, player)
    player.evaluate(WATCH, target)
    player.locator(".choices button").nth(target).click()
    until(page, player, "p => p.dataset.stopped && p.dataset.started")
    stopped, started = player.evaluate("p => [+p.dataset.stopped, +p.dataset.started]")
    assert stopped > 0.5
    assert abs(started - stopped) < 0.1
    assert heard(player) == [target]
    until(page, player, f"p => ({TIME})(p) > {started + 0.2}")


def test_switching_while_paused_stays_paused_at_the_position(page: Any, player: Any) -> None:
    """The next play starts there, in the chosen sound."""
    start(page, player)
    player.locator(".play").click()
    at = float(player.locator(".seek").input_value())
    player.locator(".choices button").nth(3).click()
    until(page, player, "p => p.querySelectorAll('audio')[3].currentTime > 0.4")
    assert heard(player) == []
    assert player.evaluate("p => p.querySelectorAll('audio')[3].currentTime") == pytest.approx(
        at, abs=0.1
    )


def test_fast_switching_ends_at_the_last_choice(page: Any, player: Any) -> None:
    """One sound plays, the one that is marked."""
    start(page, player)
    for index in (0, 1, 3, 4, 5, 1):
        player.locator(".choices button").nth(index).click()
    until(page, player, f"p => ({PLAYING})(p)[1]")
    page.wait_for_timeout(300)
    assert heard(player) == [1]
    pressed = player.locator(".choices button[aria-pressed=true]")
    assert pressed.get_attribute("aria-label").startswith("ours, 2 kbps")


def test_keys_play_choose_and_step(page: Any, player: Any) -> None:
    """Space, digits and arrows; space on a button of a choice does not press it."""
    player.locator(".choices button").nth(0).focus()
    page.keyboard.press("Space")
    until(page, player, f"p => ({PLAYING})(p)[2]")
    page.keyboard.press("3")
    until(page, player, f"p => ({PLAYING})(p)[3]")
    page.keyboard.press("ArrowRight")
    until(page, player, f"p => ({PLAYING})(p)[4]")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    until(page, player, f"p => ({PLAYING})(p)[2]")
    page.keyboard.press("0")
    until(page, player, f"p => ({PLAYING})(p)[0]")
    page.keyboard.press("Space")
    until(page, player, f"p => !({PLAYING})(p).some(Boolean)")


def test_the_chosen_spectrogram_and_figures_are_shown(page: Any, player: Any) -> None:
    """Beside the reference's, which stays."""
    reference = player.locator("img").first.get_attribute("src")
    player.locator(".choices button", has_text="12 kbps").click()
    assert player.locator(".heard").inner_text() == "Opus, 12 kbps"
    assert player.locator(".chosen img").get_attribute("src").endswith("Opus_12_kbps.png")
    assert "ViSQOL: shorter than 1 s" in player.locator(".figures").first.inner_text()
    assert player.locator("img").first.get_attribute("src") == reference
    assert player.evaluate("p => [...p.querySelectorAll('img')].every(i => i.naturalWidth == 480)")


def test_a_click_in_a_spectrogram_and_the_slider_move(page: Any, player: Any) -> None:
    """To the middle, then near the end."""
    start(page, player)
    player.locator(".picture").first.click()
    until(page, player, f"p => ({TIME})(p) > 1.9 && ({TIME})(p) < 2.9")
    player.locator(".seek").fill("3.2")
    until(page, player, f"p => ({TIME})(p) >= 3.2")


def test_a_clip_goes_round_until_the_loop_is_off(page: Any, player: Any) -> None:
    """With the loop off it stops at the end, and play starts it again."""
    start(page, player)
    player.locator(".seek").fill("3.4")
    until(page, player, f"p => ({TIME})(p) > 3.4")
    until(page, player, f"p => ({TIME})(p) < 1")
    player.locator(".loop").click()
    player.locator(".seek").fill("3.7")
    until(page, player, "p => p.querySelector('.play').ariaPressed === 'false'")
    player.locator(".play").click()
    until(page, player, f"p => (({TIME})(p) ?? 9) < 1")


def test_one_player_plays_at_a_time_and_remembers_its_place(page: Any, player: Any) -> None:
    """The other stops and goes on later from where it was."""
    start(page, player)
    other = page.locator(".player").nth(1)
    start(page, other)
    assert heard(player) == []
    at = float(player.locator(".seek").input_value())
    player.locator(".play").click()
    until(page, player, f"p => ({TIME})(p) > {at}")
    assert float(player.locator(".seek").input_value()) < at + 0.5
    assert heard(other) == []


def test_a_sound_that_fails_is_loaded_again(page: Any, player: Any) -> None:
    """It goes on a little earlier, without the listener's doing."""
    start(page, player)
    player.locator(".seek").fill("2.5")
    until(page, player, f"p => ({TIME})(p) > 2.6")
    player.evaluate("p => p.querySelectorAll('audio')[2].dispatchEvent(new Event('error'))")
    until(page, player, f"p => ({TIME})(p) > 1 && ({TIME})(p) < 2.5")


def test_pictures_load_and_the_page_fits_a_phone(page: Any, folder: Path) -> None:
    """All plots are there; nothing makes the page itself scroll sideways."""
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto((folder / "index.html").as_uri())
    assert page.evaluate("[...document.querySelectorAll('.plot img')].every(i => i.naturalWidth)")
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_without_scripts_there_are_native_players(browser: Any, folder: Path) -> None:
    """One for each sound, with its figures; the buttons, which would do nothing, are hidden."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((folder / "index.html").as_uri())
    player = page.locator(".player").first
    assert player.locator("audio").count() == 6
    assert player.locator("audio").nth(5).is_visible()
    assert not player.locator(".play").is_visible()
    assert not player.locator(".choices").is_visible()
    context.close()
