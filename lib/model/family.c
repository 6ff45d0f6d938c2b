/* family.c - the families of networks that there are. */
#include "model/family.h"

/* In the order of vdit-model's help; ends with NULL. */
static const vdit_network *const families[] = {
    &vdit_network_wan, &vdit_network_mochi, &vdit_network_hunyuan, &vdit_network_cogvideox, NULL,
};

const vdit_network *vdit_network_at(size_t i)
{
    return i < sizeof families / sizeof *families ? families[i] : NULL;
}
