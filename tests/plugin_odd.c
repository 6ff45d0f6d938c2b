/*
 * plugin_odd.c - plugins as tests/plugin.sh needs them: sound, older, newer, and wrong in one way each.
 * ODD says which.
 */
#include <stddef.h>
#include <string.h>
#include <vdit/backend.h>

enum {
    ODD_SOUND,
    ODD_OLDER,
    ODD_NEWER,
    ODD_NOTHING,
    ODD_ABI,
    ODD_SHORT_PLUGIN,
    ODD_NO_COUNT,
    ODD_NO_LIST,
    ODD_NO_BACKEND,
    ODD_SHORT_BACKEND,
    ODD_NO_NAME,
    ODD_SPACE,
    ODD_TWINS,
    ODD_LONG_NAME
};

static vdit_status same(vdit_run *run, const vdit_attention *a)
{
    return vdit_attention_reference(run, a);
}

static vdit_status lazy(vdit_run *run, const vdit_attention *a)
{
    (void)run;
    (void)a;
    return VDIT_OK;
}

static vdit_status silent(vdit_run *run, const vdit_attention *a)
{
    (void)run;
    (void)a;
    return VDIT_ERR_UNSUPPORTED;
}

static vdit_status failing(vdit_run *run, const vdit_attention *a)
{
    return vdit_run_fail(run, VDIT_ERR_ARGUMENT, "width %zu\nis odd", a->q->shape[3]);
}

static vdit_status forgetful(vdit_run *run, const vdit_attention *a)
{
    (void)a;
    vdit_run_fail(run, VDIT_ERR_ARGUMENT, "failed, and returns success");
    return VDIT_OK;
}

#define NAME(text)                                                                                 \
    (ODD == ODD_NO_NAME     ? NULL                                                                 \
     : ODD == ODD_SPACE     ? "a b"                                                                \
     : ODD == ODD_LONG_NAME ? "n123456789012345678901234567890123456789012345678901234567890123"   \
     : ODD == ODD_TWINS     ? "twin"                                                               \
                            : (text))

/* An older header had no attention: what lies there must not be called. */
#define SIZE                                                                                       \
    (ODD == ODD_OLDER           ? offsetof(vdit_backend, attention)                                \
     : ODD == ODD_SHORT_BACKEND ? offsetof(vdit_backend, linear) - 1                               \
                                : sizeof(vdit_backend))

static const vdit_backend one = {.size = SIZE, .name = NAME("same"), .attention = same};
static const vdit_backend two = {.size = SIZE, .name = NAME("lazy"), .attention = lazy};
static const vdit_backend three = {.size = SIZE, .name = NAME("silent"), .attention = silent};
static const vdit_backend four = {.size = SIZE, .name = NAME("failing"), .attention = failing};
static const vdit_backend five = {.size = SIZE, .name = NAME("forgetful"), .attention = forgetful};
static const vdit_backend six = {.size = SIZE, .name = NAME("empty")};

/* A newer header appended operators. */
static const struct {
    vdit_backend known;
    vdit_status (*later)(void);
} newer = {{.size = sizeof newer, .name = "newer", .attention = same}, NULL};

const vdit_plugin *vdit_plugin_entry(void)
{
    static const vdit_backend *const backends[] = {&one, &two, &three, &four, &five, &six};
    static const vdit_backend *const newer_list[] = {&newer.known};
    static const vdit_backend *const older_list[] = {&two};
    static const vdit_backend *const null_list[] = {&one, NULL};
    static vdit_plugin plugin = {sizeof plugin, VDIT_PLUGIN_ABI, backends, 6};

    if (ODD == ODD_NEWER || ODD == ODD_OLDER || ODD == ODD_NO_BACKEND) {
        plugin.backends = ODD == ODD_NEWER ? newer_list : ODD == ODD_OLDER ? older_list : null_list;
        plugin.count = ODD == ODD_NO_BACKEND ? 2 : 1;
    }
    plugin.abi += ODD == ODD_ABI;
    plugin.size -= ODD == ODD_SHORT_PLUGIN;
    plugin.backends = ODD == ODD_NO_LIST ? NULL : plugin.backends;
    plugin.count = ODD == ODD_NO_COUNT ? 0 : plugin.count;
    return ODD == ODD_NOTHING ? NULL : &plugin;
}
