/* check_auto.c - --contract auto: the strictest contract that a backend keeps, by operator and dtype. */
#include "config.h"
#include "check.h"
#include <stdio.h>
#include <string.h>

void check_levels_add(check_levels *levels, const vdit_golden *golden, const vdit_grade *grade)
{
    vdit_dtype dtype = golden->inputs[0].tensor.dtype;
    check_level *level = &levels->of[golden->op][dtype];

    if (level->cases++ == 0 || grade->level > level->level) /* VDIT_GRADE_NONE is the largest */
        level->level = grade->level;
    level->told |= grade->told;
}

/* Returns: the contract after the level that fits the dtype too, or NULL. */
static const vdit_contract *weaker(const check_level *level, vdit_dtype dtype)
{
    const vdit_contract *c;

    for (size_t i = level->level + 1; (c = vdit_contract_at(i)) != NULL; i++)
        if (vdit_contract_fits(c, dtype))
            return c;
    return NULL;
}

static int was_told(const check_level *level, vdit_dtype dtype)
{
    return weaker(level, dtype) == NULL || (level->told & (UINT32_C(1) << level->level)) != 0;
}

vdit_verdict check_levels_verdict(const check_levels *levels, const vdit_tally *tally)
{
    vdit_verdict verdict =
        tally->inconclusive != 0 || tally->hold == 0 ? VDIT_INCONCLUSIVE : VDIT_HOLDS;

    if (tally->fail != 0)
        return VDIT_FAILS;
    for (int op = 0; op < VDIT_OPERATOR_COUNT; op++)
        for (int dtype = 0; dtype < VDIT_DTYPE_COUNT; dtype++) {
            const check_level *level = &levels->of[op][dtype];
            if (level->cases != 0 && level->level != VDIT_GRADE_NONE &&
                !was_told(level, (vdit_dtype)dtype))
                verdict = VDIT_INCONCLUSIVE;
        }
    return verdict;
}

/* Writes what is known of one operator and dtype as a sentence. */
static void level_text(char *text, size_t size, const check_level *level, vdit_dtype dtype)
{
    const vdit_contract *c;

    if (level->level == VDIT_GRADE_NONE) {
        snprintf(text, size, "no contract");
        return;
    }
    c = vdit_contract_at(level->level);
    if (was_told(level, dtype))
        snprintf(text, size, "%s: %s", c->name, c->about);
    else
        snprintf(text, size, "%s, but no case could have told it from %s", c->name,
                 weaker(level, dtype)->name);
}

void check_levels_each(const check_levels *levels, check_level_fn *tell, void *state)
{
    for (int op = 0; op < VDIT_OPERATOR_COUNT; op++)
        for (int dtype = 0; dtype < VDIT_DTYPE_COUNT; dtype++) {
            const check_level *level = &levels->of[op][dtype];
            char text[192];
            if (level->cases == 0)
                continue;
            level_text(text, sizeof text, level, (vdit_dtype)dtype);
            tell(state, vdit_operator_name((vdit_operator)op), vdit_dtype_name((vdit_dtype)dtype),
                 level, text);
        }
}
