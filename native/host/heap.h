#include "quickjs.h"

/* For JS_NewRuntime2: the allocator of heap.c. */
extern const JSMallocFunctions heap_functions;
