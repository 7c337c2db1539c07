"""Old images of a service, taken off a host."""

from __future__ import annotations

from collections.abc import Collection

from pilotage.image.spec import ImageName
from pilotage.shell.base import Shell

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


async def prune_images(
    shell: Shell, image: ImageName, keep: Collection[str], *, docker: str = "docker"
) -> int:
    """Remove the images of all revisions but those in ``keep``, in one command; how many there were.

    Tags that are no revision are left alone. What a container uses, a stopped one too, Docker keeps.
    """
    done = await shell.run(("sh", "-c", _PRUNE, "prune", docker, str(image), *sorted(keep)))
    return len(done.text.split())
