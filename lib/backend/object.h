/* backend/object.h - whether a shared object is all there. */
#ifndef VDIT_BACKEND_OBJECT_H
#define VDIT_BACKEND_OBJECT_H

#include <vdit/run.h>

/*
 * Refuses an ELF file that ends before its segments do, as one that is still being written: dlopen maps
 * them without looking, and the first access beyond the end would kill the program. Other files, and those that
 * cannot be read, are left to dlopen.
 * Returns: VDIT_OK or VDIT_ERR_FORMAT.
 */
vdit_status vdit_object_check(vdit_run *run, const char *path);

#endif
