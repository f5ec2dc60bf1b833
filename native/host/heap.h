#include "quickjs.h"

/* For JS_NewRuntime2: the allocator of heap.c. */
extern const JSMallocFunctions heap_functions;

/* In the child after a fork: copies the heap in one call, in place of a fault for each page that is written to. */
void heap_own(void);
