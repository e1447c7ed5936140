/* seaway/version.h - the version of these headers. */
#ifndef SEAWAY_VERSION_H
#define SEAWAY_VERSION_H

#define SEAWAY_VERSION_MAJOR 0
#define SEAWAY_VERSION_MINOR 1
#define SEAWAY_VERSION_PATCH 0
#define SEAWAY_VERSION_STRING "0.1.0"

#endif
