/* folder.h - a folder that is made for what is written into it. */
#ifndef VDIT_FILE_FOLDER_H
#define VDIT_FILE_FOLDER_H

#include <vdit/run.h>

/* Makes a folder, in one that exists. Returns: VDIT_OK, or VDIT_ERR_IO, also where path exists already. */
vdit_status vdit_folder_make(vdit_run *run, const char *path);

/* Removes an empty folder; nothing if it is not. */
void vdit_folder_remove(const char *path);

/* Removes the file folder/name, if there is one. */
void vdit_folder_remove_file(const char *folder, const char *name);

/* Returns: folder/name as a path in the run's memory, NULL with the run failed. */
char *vdit_folder_join(vdit_run *run, const char *folder, const char *name);

#endif
