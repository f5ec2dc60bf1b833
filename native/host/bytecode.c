/*
 * bytecode IN OUT: compiles a script to QuickJS bytecode, without its source text and line tables. Prints "RegExp" if there is
 * a regular expression in it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "quickjs.h"

static _Noreturn void fail(const char *what)
{
    perror(what);
    exit(1);
}

/* Compiles in a context of its own, where a regular expression is an error unless `regexp` is set. */
static JSValue compile(JSContext **made, const char *source, size_t size, const char *name, int regexp)
{
    JSRuntime *rt = JS_NewRuntime();
    JSContext *ctx = *made = JS_NewContextRaw(rt);
    int flags = JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY;

    JS_AddIntrinsicBaseObjects(ctx);
    JS_AddIntrinsicEval(ctx);
    if (regexp)
        JS_AddIntrinsicRegExpCompiler(ctx);
#ifdef JS_STRIP_DEBUG /* QuickJS 2025 */
    JS_SetStripInfo(rt, JS_STRIP_SOURCE | JS_STRIP_DEBUG);
#else
    flags |= JS_EVAL_FLAG_STRIP;
#endif
    return JS_Eval(ctx, source, size, name, flags);
}

int main(int argc, char **argv)
{
    FILE *in = argc == 3 ? fopen(argv[1], "rb") : NULL;
    JSContext *ctx;
    JSValue script;
    size_t size;

    if (!in)
        fail("usage: bytecode IN OUT");
    fseek(in, 0, SEEK_END);
    size = ftell(in);
    rewind(in);
    char *source = malloc(size + 1);
    if (fread(source, 1, size, in) != size)
        fail(argv[1]);
    source[size] = 0;

    script = compile(&ctx, source, size, argv[1], 0);
    if (JS_IsException(script)) {
        script = compile(&ctx, source, size, argv[1], 1);
        if (!JS_IsException(script))
            puts("RegExp");
    }
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
