/* failing_scene.h: all that a pool does, on a real server, while calls may fail. */
#ifndef WEIR_TESTS_FAILING_SCENE_H
#define WEIR_TESTS_FAILING_SCENE_H

#include <stdbool.h>

/* Goes through all of it once, on two lanes, with calls armed by failing_arm and `lasting` as
 * there. One pool's server is `conninfo`'s, another's any of `several_hosts`. Returns what was not
 * as it should be, or NULL. */
const char *failing_scene(const char *conninfo, const char *several_hosts, bool lasting);

#endif
