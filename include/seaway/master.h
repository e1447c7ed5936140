/* seaway/master.h - a master inside a process, for tests, notebooks and small runs. `seaway master` is the same as a program.
 *
 * The rules of seaway/seaway.h hold here too.
 */
#ifndef SEAWAY_MASTER_H
#define SEAWAY_MASTER_H

#include "seaway/seaway.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct seaway_master seaway_master;

typedef struct seaway_master_config {
  size_t struct_size;
  const char* listen; /* "HOST:PORT"; port 0 draws one. NULL: "127.0.0.1:0" */
  int32_t plaintext;  /* 0: peers need seaway_master_join_string. 1: as in seaway_config */
} seaway_master_config;

/* Returns: OK; INVALID. */
SEAWAY_API seaway_status seaway_master_config_init(seaway_master_config* config, size_t struct_size);

/* Starts a master on a thread of its own. It keeps the membership in memory: with plaintext = 1 peers carry it over a restart on the
 * same address; without, the CA is gone with the master, and peers that lose it go on without one.
 * `error`, unless NULL, is filled when this fails. *master is NULL then.
 * Returns: OK; INVALID; NO_ADDRESS (cannot listen there); NO_MEMORY. */
SEAWAY_API seaway_status seaway_master_start(seaway_master** master, const seaway_master_config* config,
                                             seaway_error* error);

/* The address it listens on, "HOST:PORT": what seaway_config.master takes with plaintext = 1. Valid until seaway_master_stop. NULL after it. */
SEAWAY_API const char* seaway_master_address(const seaway_master* master);

/* What lets others join: seaway_config.join. It has a secret in it. "" with plaintext = 1. Valid until seaway_master_stop. NULL
 * after it. */
SEAWAY_API const char* seaway_master_join_string(const seaway_master* master);

/* Stops it and frees the handle. Peers go on without a master. NULL is allowed.
 * Returns: OK; CLOSED; FORKED. */
SEAWAY_API seaway_status seaway_master_stop(seaway_master* master);

#ifdef __cplusplus
}
#endif

#endif
