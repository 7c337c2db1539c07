"""The commands that have the assets of two releases in one place, exactly."""

from __future__ import annotations

from pilotage.targets.docker import assets
from pilotage.targets.docker.spec import DockerRole, DockerService

ROLE = DockerRole(assets="/rails/public/assets", asset_options="ro", volumes=("data:/data",))
SERVICE = DockerService("shop", ("10.0.0.1",), {"web": ROLE}, destination="staging")
SHA, OLD = "b" * 40, "a" * 40


def test_a_volume_a_release() -> None:
    assert assets.volume(SERVICE, "web", SHA) == f"shop-staging-web-assets-{SHA}"
    mounted = assets.mounted(SERVICE, ROLE, "web", SHA)
    assert mounted.volumes == (
        "data:/data",
        f"shop-staging-web-assets-{SHA}:/rails/public/assets:ro",
    )
    assert assets.mounted(SERVICE, DockerRole(), "job", SHA) == DockerRole()


def test_it_is_filled_from_the_image_and_exchanged() -> None:
    old = assets.volume(SERVICE, "web", OLD)
    argv = assets.bridge(SERVICE, ROLE, "web", SHA, image="acme/shop:b", others={old})
    assert argv[:9] == (
        *("docker", "run", "--rm", "--pull", "never", "--network", "none"),
        *("--user", "0"),
    )
    assert argv[9:15] == (
        *("--entrypoint", "sh"),
        *("--volume", f"shop-staging-web-assets-{SHA}:/new"),
        *("--volume", f"{old}:/old/0"),
    )
    assert argv[15:17] == ("acme/shop:b", "-c")
    assert argv[-2:] == ("assets", "/rails/public/assets")


def test_only_the_volumes_of_the_service_are_looked_at() -> None:
    assert assets.list_volumes(SERVICE, "web") == (
        *("docker", "volume", "ls", "--quiet", "--filter", "label=service=shop"),
        *("--filter", "label=destination=staging", "--filter", "label=pilotage.part=assets"),
        *("--filter", "label=role=web"),
    )
