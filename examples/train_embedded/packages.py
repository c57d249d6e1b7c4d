"""The Debian packages on which the embedded model is trained: licence, authors, class of each file.

Licences and authors come from each package's debian/copyright or, if that names only a team, from
the credits in the package. Needs only the standard library.
"""

import re
from dataclasses import dataclass

Rules = tuple[tuple[str, str | None], ...]

# Never trained on, because evaluation clips or the examples come from them.
HELD_OUT_PACKAGES = frozenset(
    (
        "colobot-common-sounds",
        "flare-game",
        "flare-game-data",
        "gcompris-qt-data",
        "hedgewars",
        "hedgewars-data",
        "hyperrogue-music",
        "ktuberling",
        "ktuberling-data",
        "lomiri-sounds",
        "minetest-data",
        "pocketsphinx-testdata",
        "puredata-doc",
        "sonic-pi-samples",
    )
)
SOUND_FONT = "musescore-general-soundfont-small"
SCORES = "planetblupi-music-midi"
FILLETS = (
    "ALTAR interactive; Ivo Danihelka, Pavel Danihelka, Frederic Panico, Ronny Standtke, Simone "
    "Cociancich, Przemek Bojczuk"
)


@dataclass(frozen=True)
class Package:
    """A Debian package with recordings.

    rules: (pattern, class) pairs. The first pattern that matches a path in the package decides;
        files of class None, or without a match, are left out.
    permissive: neither GPL nor share-alike.
    """

    licence: str
    authors: str
    rules: Rules
    permissive: bool = False

    def class_of(self, path: str) -> str | None:
        """speech, music or environment; None for a file that is not trained on."""
        return next((kind for pattern, kind in self.rules if re.search(pattern, path)), None)


PACKAGES = {
    "asterisk-core-sounds-en-g722": Package(
        "CC-BY-SA-3.0",
        "Allison Smith, theivrvoice.com",
        ((r"silence/", None), (r"", "speech")),
    ),
    "asterisk-core-sounds-es-g722": Package(
        "CC-BY-SA-3.0",
        "Allison Smith, theivrvoice.com",
        ((r"silence/", None), (r"", "speech")),
    ),
    "asterisk-core-sounds-fr-g722": Package(
        "CC-BY-SA-3.0",
        "June Wallack, junewallack.com; translated by Clod Patry, Kristopher Lalletti, June "
        "Wallack",
        ((r"silence/", None), (r"", "speech")),
    ),
    "asterisk-core-sounds-it-g722": Package(
        "CC-BY-3.0", "Carlo Flora", ((r"silence/", None), (r"", "speech")), permissive=True
    ),
    "asterisk-core-sounds-ru-g722": Package(
        "CC-BY-3.0",
        "Maxim Topal, ivrvoice.ru",
        ((r"silence/", None), (r"", "speech")),
        permissive=True,
    ),
    "festvox-ru": Package(
        "BSD-like",
        "Nickolay V. Shmyrev",
        ((r"/ru_0034\.wav$", None), (r"/wav/", "speech")),  # ru_0034 ships as an example
        permissive=True,
    ),
    "fillets-ng-data": Package(
        "GPL-2", FILLETS, ((r"/music/", "music"), (r"/en/", "speech"), (r"", "environment"))
    ),
    "fillets-ng-data-cs": Package("GPL-2", FILLETS, ((r"/cs/", "speech"),)),
    "fillets-ng-data-nl": Package("GPL-2", FILLETS, ((r"/nl/", "speech"),)),
    "fretsonfire-songs-muldjord": Package(
        "CC-BY-SA-3.0", "Lars Muldjord", ((r"/song\.ogg$", "music"),)
    ),
    "gcin-voice": Package(
        "CC-BY-3.0",
        "ChionMeilin, with the voice of Chu Lo",
        ((r"/5\.ogg$", "speech"),),  # the other files are of another voice, under the GPL
        permissive=True,
    ),
    "hydrogen-drumkits": Package(
        "mixed: CC0, CC-BY-3.0, CC-BY-SA-3.0, GPL-2+",
        "Marcos Guglielmetti, Artemiy Pavlov, Emanuel Rumpf, Emiliano Grilli, Gabriel Verdugo "
        "Soto, Glen MacArthur, Jim Harney, Luc Tunguay, Vladimir Sadovnikov, Alexander Belokurov, "
        "audiophobdubstep",
        ((r"", "music"),),
    ),
    "hydrogen-drumkits-effects": Package(
        "CC-BY-3.0",
        "Gabriel Verdugo Soto (belofilms)",
        ((r"belofilms_GuitarStrums", "music"),),
        permissive=True,
    ),
    "klettres-data": Package(
        "GPL-2+", "Anne-Marie Mahfouf and KDE contributors", ((r"", "speech"),)
    ),
    SOUND_FONT: Package(  # renders random pieces; it holds no recordings
        "MIT",
        "sound font: Frank Wen, Michael Cowgill, S. Christian Collins and others",
        (),
        permissive=True,
    ),
    SCORES: Package("GPL-3+ (score), MIT (sound font)", "Mathieu Schroeter", ()),
    "plee-the-bear-data": Package(
        "CC-BY-SA-3.0",
        "Julien Jorge, Sébastien Angibaud, David Michineau, Florian Massuyeau, Julien Lassalle, "
        "Raphaël Giudici, Sébastien Debrard, Antoine Brémaud, Kiera Whalen, Philip Bradbury, "
        "Karl Ove Hufthammer",
        ((r"/music/", "music"), (r"", "environment")),
    ),
    "starfighter-data": Package(
        "CC-BY-3.0, CC-BY-SA-3.0, GPL-2+ or public domain",
        "music: Zander Noriega, maxstack, Deceased Superior Technician, matthew.pablo, tgfcoder, "
        "JunglistMilitia, neocrey, WeskerHunter, Jan125, Alexandr Zhelanov; sound: Person, "
        "Stephen M. Cameron, p0ss, Berklee; Parallel Realities, Guus Sliepen, Astrid S. de Wijn, "
        "Julie Marchant",
        ((r"/music/", "music"), (r"", "environment")),
    ),
    "tuxpaint-stamps-default": Package(
        "GPL-2",
        "Bill Kendrick and contributors",
        (
            (r"_desc[^/]*\.(ogg|wav)$", "speech"),
            (r"_[a-z]{2,3}([_@][A-Za-z]+)?\.(ogg|wav)$", "speech"),
            (r"", "environment"),
        ),
    ),
    "ufoai-sound": Package(
        "GPL-2+, CC-BY-3.0, CC-BY-SA-3.0, public domain",
        "The UFO:AI Team and the artists named in the package, among them David Reeves, Manuel "
        "Marino, Martin Gerhardy, Michael Quinn, Karl Macklin, Karen Rei Pease, Simon Green, "
        "Paul Bee",
        ((r"radiomessage\.ogg$", None), (r"", "environment")),  # speech in noise
    ),
    "unknown-horizons": Package(
        "CC-BY-SA-3.0 (music, sounds), GPL-2+",
        "Unknown Horizons team: Sebastian Ahlen (draikon), Matthew Pablo, Tobias Escher "
        "(novatlan), Thomas Davey (ThomasD), Ollo123, hazure",
        (
            (r"/audio/music/", "music"),
            (r"/audio/voice/", "speech"),
            (r"/audio/", "environment"),
        ),
    ),
    "warmux-data": Package(
        "GPL-2+",
        "the WarMUX team (data/authors.xml of the package)",
        ((r"/music/", "music"), (r"/voices/", "speech"), (r"", "environment")),
    ),
    "wordwarvi-sound": Package(
        "GPL-2+ and CC-BY-SA-3.0",
        "Stephen M. Cameron, Marty Kiel, Skip Kavanaugh and others",
        ((r"lucky|music|destiny|dtox", "music"), (r"", "environment")),
    ),
}


def chosen(names: list[str] | None = None, permissive_only: bool = False) -> list[str]:
    """Names of the packages to fetch: the given ones, or all. Raises ValueError for others."""
    for name in names or ():
        if name in HELD_OUT_PACKAGES:
            raise ValueError(f"{name} is held out for evaluation; never train on it")
        if name not in PACKAGES:
            raise ValueError(f"no package {name!r}; there are {', '.join(PACKAGES)}")
    return [n for n in names or PACKAGES if PACKAGES[n].permissive or not permissive_only]
