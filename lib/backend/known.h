/* backend/known.h - a backend's table as this library knows it. */
#ifndef VDIT_BACKEND_KNOWN_H
#define VDIT_BACKEND_KNOWN_H

#include <vdit/backend.h>

/* Returns: the table in this library's size: fields beyond the backend's own size are NULL. */
vdit_backend vdit_backend_known(const vdit_backend *backend);

#endif
