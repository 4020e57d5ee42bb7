/*
 * Fuzzer of the configuration file: any bytes are refused with at least one line, or read into a tree whose dump is
 * read again as the same.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct config *parse(const char *text, size_t size)
{
    struct config_errors errors = {0};
    struct config *config = config_parse("fuzz.yaml", text, size, &errors);
    if ((config == NULL) != (errors.count > 0))
        abort();
    config_errors_free(&errors);
    return config;
}

static char *dump(const struct config *config)
{
    char *text = config_dump(config);
    if (text == NULL)
        abort();
    return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config *config = parse((const char *)data, size);
    if (config == NULL)
        return 0;
    char *first = dump(config);
    struct config *again = parse(first, strlen(first));
    if (again == NULL) {
        (void)fprintf(stderr, "the dump was refused:\n%s", first);
        abort();
    }
    char *second = dump(again);
    if (strcmp(first, second) != 0) {
        (void)fprintf(stderr, "the dump was read as something else:\n%s----\n%s", first, second);
        abort();
    }
    free(first);
    free(second);
    config_free(config);
    config_free(again);
    return 0;
}
