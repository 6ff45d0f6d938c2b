/* text.c - strings in the memory of a run. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "golden/text.h"

#define PIECE 512 /* the most that one print appends, with its NUL */

/* Makes room for a piece; what was used before stays in the run's memory until its scope ends. */
static vdit_status make_room(vdit_text *text)
{
    size_t room = 2 * text->room + 16 * PIECE;
    char *bytes;

    if (text->room - text->size >= PIECE)
        return vdit_run_status(text->run);
    bytes = vdit_run_alloc(text->run, room, 1);
    if (bytes == NULL)
        return vdit_run_status(text->run);
    if (text->size > 0)
        memcpy(bytes, text->bytes, text->size);
    text->bytes = bytes;
    text->room = room;
    return VDIT_OK;
}

vdit_status vdit_text_print(vdit_text *text, const char *format, ...)
{
    va_list arguments;
    int length;

    if (make_room(text) != VDIT_OK)
        return vdit_run_status(text->run);
    va_start(arguments, format);
    length = vsnprintf(text->bytes + text->size, PIECE, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= PIECE)
        return vdit_run_fail(text->run, VDIT_ERR_LIMIT, "a text of %d bytes, at most %d expected",
                             length, PIECE - 1);
    text->size += (size_t)length;
    return VDIT_OK;
}

char *vdit_text_copy(vdit_run *run, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = vdit_run_alloc(run, size, 1);

    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

char *vdit_path_join(vdit_run *run, const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = vdit_run_alloc(run, size, 1);

    if (path != NULL)
        snprintf(path, size, "%s/%s", directory, name);
    return path;
}
