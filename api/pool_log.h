/* pool_log.h: the latest events of pools, for GET /pool/events. */
#ifndef WEIR_POOL_LOG_H
#define WEIR_POOL_LOG_H

#include "api.h"
#include "topic.h"

/* What is worth a line of the log; or all, of which nothing is kept that nobody has asked for. */
topic *pool_log_topic(weir_pool_log *log, bool all);

#endif
