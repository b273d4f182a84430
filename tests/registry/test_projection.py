from tests.registry.world import World


def test_a_new_world_is_sound(world: World) -> None:
    world.check()
    assert world.registry.verify().verdict == "proved"
