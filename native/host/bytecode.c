/* bytecode IN OUT: compiles a script to QuickJS bytecode, without its source text and line tables. */
#include <stdio.h>
#include <stdlib.h>

#include "quickjs.h"

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

int main(int argc, char **argv)
{
    FILE *in = argc == 3 ? fopen(argv[1], "rb") : NULL;
    JSRuntime *rt = JS_NewRuntime();
    JSContext *ctx = JS_NewContext(rt);
    JSValue script;
    size_t size;
    int flags = JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY;

    if (!in)
        fail("usage: bytecode IN OUT");
    fseek(in, 0, SEEK_END);
    size = ftell(in);
    rewind(in);
    char *source = malloc(size + 1);
    if (fread(source, 1, size, in) != size)
        fail(argv[1]);
    source[size] = 0;

#ifdef JS_STRIP_DEBUG /* QuickJS 2025 */
    JS_SetStripInfo(rt, JS_STRIP_SOURCE | JS_STRIP_DEBUG);
#else
    flags |= JS_EVAL_FLAG_STRIP;
#endif
    script = JS_Eval(ctx, source, size, argv[1], flags);
    if (JS_IsException(script)) {
        JSValue error = JS_GetException(ctx);
        fprintf(stderr, "%s: %s\n", argv[1], JS_ToCString(ctx, error));
        return 1;
    }
    uint8_t *bytes = JS_WriteObject(ctx, &size, script, JS_WRITE_OBJ_BYTECODE);
    FILE *out = fopen(argv[2], "wb");
    if (!bytes || !out || fwrite(bytes, 1, size, out) != size || fclose(out) != 0)
        fail(argv[2]);
    return 0;
}
