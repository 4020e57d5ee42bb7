/*
 * Unanswered questions: see redis_queue.h. In the order they were asked. Sends nothing, knows no time.
 */
#include "proxy/redis_queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

enum {
    WORDS_BEFORE_KEYS = 3,
    ARGUMENTS = 2,
    NUMBER_ROOM = 12,
};

bool redis_queue_init(struct redis_queue *queue, const char *script)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    memset(queue, 0, sizeof(*queue));
    queue->script = script;
    if (EVP_Digest(script, strlen(script), digest, &length, EVP_sha1(), NULL) != 1)
        return false;
    for (unsigned i = 0; i < length && 2 * i + 2 < sizeof(queue->sha); i++)
        snprintf(queue->sha + (size_t)2 * i, 3, "%02x", digest[i]);
    return true;
}

static void asked_free(struct redis_asked *asked)
{
    free(asked->words);
    free(asked->text);
    free(asked);
}

static size_t size_of(const struct redis_question *question)
{
    size_t size = NUMBER_ROOM + strlen(question->operation) + 1 + strlen(question->document) + 1;
    for (size_t i = 0; i < question->key_count; i++)
        size += strlen(question->keys[i]) + 1 + sizeof(char *);
    return size;
}

/* One word more, copied to *at. */
static void add_word(struct redis_asked *asked, char **at, const char *word)
{
    size_t size = strlen(word) + 1;
    memcpy(*at, word, size);
    asked->words[asked->count++] = *at;
    *at += size;
}

static bool write_words(const struct redis_queue *queue, struct redis_asked *asked,
                        const struct redis_question *question)
{
    char number[NUMBER_ROOM];
    asked->text = malloc(asked->size);
    asked->words = calloc(WORDS_BEFORE_KEYS + question->key_count + ARGUMENTS, sizeof(*asked->words));
    if (asked->text == NULL || asked->words == NULL)
        return false;
    char *at = asked->text;
    asked->words[asked->count++] = "EVALSHA";
    asked->words[asked->count++] = queue->sha;
    snprintf(number, sizeof(number), "%u", (unsigned)question->key_count);
    add_word(asked, &at, number);
    for (size_t i = 0; i < question->key_count; i++)
        add_word(asked, &at, question->keys[i]);
    add_word(asked, &at, question->operation);
    add_word(asked, &at, question->document);
    return true;
}

struct redis_asked *redis_queue_add(struct redis_queue *queue, const struct redis_question *question)
{
    size_t size = size_of(question);
    if (queue->count >= REDIS_QUESTIONS_MOST || size > REDIS_BYTES_MOST - queue->size)
        return NULL;
    struct redis_asked *asked = calloc(1, sizeof(*asked));
    if (asked == NULL)
        return NULL;
    asked->size = size;
    asked->answered = question->answered;
    asked->context = question->context;
    asked->ticket = question->ticket;
    if (!write_words(queue, asked, question)) {
        asked_free(asked);
        return NULL;
    }
    struct redis_asked **end = &queue->first;
    while (*end != NULL)
        end = &(*end)->next;
    *end = asked;
    queue->count++;
    queue->size += size;
    return asked;
}

bool redis_queue_send_whole(struct redis_queue *queue, struct redis_asked *asked)
{
    if (asked->words[1] == queue->script)
        return false;
    asked->words[0] = "EVAL";
    asked->words[1] = queue->script;
    return true;
}

void redis_queue_answer(struct redis_queue *queue, struct redis_asked *asked, const struct redis_answer *answer)
{
    struct redis_asked **at = &queue->first;
    while (*at != asked)
        at = &(*at)->next;
    *at = asked->next;
    queue->count--;
    queue->size -= asked->size;
    asked->answered(asked->context, asked->ticket, answer);
    asked_free(asked);
}

void redis_queue_answer_all(struct redis_queue *queue, const struct redis_answer *answer)
{
    for (unsigned left = queue->count; left > 0 && queue->first != NULL; left--)
        redis_queue_answer(queue, queue->first, answer);
}
