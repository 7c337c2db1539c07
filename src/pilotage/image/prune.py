"""Old images of a service, taken off a host."""

from __future__ import annotations

from collections.abc import Collection

from pilotage.image.spec import ImageName
from pilotage.shell.fenced import Command

# $1: docker, $2: the image's name, then the tags that are kept.
_PRUNE = """\
docker=$1 name=$2
shift 2
tags=$("$docker" image ls --format '{{.Tag}}' "$name") || exit
for tag in $(printf '%s\\n' "$tags" | grep -Ex '[0-9a-f]{40}([0-9a-f]{24})?' | sort -u); do
  case " $* " in *" $tag "*) continue ;; esac
  "$docker" image rm "$name:$tag" >/dev/null 2>&1 && echo "$tag"
done
:
"""


def prune_images(image: ImageName, keep: Collection[str], *, docker: str = "docker") -> Command:
    """Remove the images of all revisions but those in ``keep``; it writes the tags that were removed.

    Tags that are no revision are left alone. What a container uses, a stopped one too, Docker keeps.
    """
    return Command(("sh", "-c", _PRUNE, "prune", docker, str(image), *sorted(keep)))
