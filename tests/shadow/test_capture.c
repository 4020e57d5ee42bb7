/*
 * A capture: what it keeps of a response, where it stops, and that it costs no allocation once it has its buffer.
 */
#include "tests/shadow/pairs.h"

#include <xxhash.h>

static const char head[] = "Content-Type: text/plain\r\nX-A: 1\r\n";

static void keeps_head_and_body(void **state)
{
    struct capture c;
    (void)state;
    capture_init(&c);
    capture_reset(&c, 100);
    capture_head(&c, 200, head, sizeof(head) - 1);
    capture_body(&c, "hello ", 6);
    capture_body(&c, "", 0);
    capture_body(&c, "world", 5);
    capture_end(&c, OUTCOME_OK, 1234);
    assert_true(c.ended);
    assert_false(c.truncated);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.head_len, sizeof(head) - 1);
    assert_memory_equal(c.at, head, sizeof(head) - 1);
    assert_int_equal(c.body_len, 11);
    assert_int_equal(c.len, sizeof(head) - 1 + 11);
    assert_memory_equal(c.at + c.head_len, "hello world", 11);
    assert_int_equal(c.latency_us, 1234);
    capture_done(&c);
}

static void keeps_trailers_behind_the_body(void **state)
{
    static const char trailers[] = "grpc-status: 0\r\n";
    char many[CAPTURE_TRAILERS + 100];
    struct capture c;
    (void)state;
    capture_init(&c);
    capture_reset(&c, 4);
    capture_head(&c, 200, head, sizeof(head) - 1);
    capture_body(&c, "hello world", 11);
    capture_trailers(&c, trailers, sizeof(trailers) - 1);
    capture_end(&c, OUTCOME_OK, 1);
    assert_int_equal(c.len, c.head_len + 4);
    assert_int_equal(c.trailers_len, sizeof(trailers) - 1);
    assert_memory_equal(c.at + c.head_len, "hellgrpc-status: 0\r\n", 4 + c.trailers_len);
    capture_reset(&c, 4);
    assert_int_equal(c.trailers_len, 0);
    memset(many, 'x', sizeof(many));
    memcpy(many + 10, "\r\n", 2); /* the first line is the only one that ends in time */
    capture_trailers(&c, many, sizeof(many));
    assert_int_equal(c.trailers_len, 12);
    capture_trailers(&c, "", 0);
    assert_int_equal(c.trailers_len, 0);
    capture_done(&c);
}

/* Beyond max_body the beginning stays, and the digest covers all, however it was cut into pieces. */
static void digests_what_it_does_not_keep(void **state)
{
    char body[1000];
    (void)state;
    for (size_t i = 0; i < sizeof(body); i++)
        body[i] = (char)(i * 7);
    XXH128_hash_t expected = XXH3_128bits(body, sizeof(body));
    for (size_t piece = 1; piece <= sizeof(body); piece += 37) {
        struct capture c;
        capture_init(&c);
        capture_reset(&c, 300);
        capture_head(&c, 200, head, sizeof(head) - 1);
        for (size_t at = 0; at < sizeof(body); at += piece)
            capture_body(&c, body + at, sizeof(body) - at < piece ? sizeof(body) - at : piece);
        capture_end(&c, OUTCOME_OK, 1);
        assert_true(c.truncated);
        assert_false(c.failed);
        assert_int_equal(c.body_len, sizeof(body));
        assert_int_equal(c.len - c.head_len, 300);
        assert_memory_equal(c.at + c.head_len, body, 300);
        assert_true(c.digest[0] == expected.high64 && c.digest[1] == expected.low64);
        capture_done(&c);
    }
}

static void of_a_request_the_beginning_is_kept_without_a_digest(void **state)
{
    struct capture c;
    (void)state;
    capture_init(&c);
    capture_reset(&c, 5);
    capture_head(&c, 0, head, sizeof(head) - 1);
    capture_beginning(&c, "123", 3);
    assert_false(c.truncated);
    capture_beginning(&c, "45678", 5);
    capture_beginning(&c, "9", 1);
    assert_true(c.truncated);
    assert_false(c.failed);
    assert_null(c.hash);
    assert_int_equal(c.body_len, 9);
    assert_int_equal(c.len - c.head_len, 5);
    assert_memory_equal(c.at + c.head_len, "12345", 5);
    capture_done(&c);
}

/* Who counts memory asks before: what it is told is what the buffer then grows by. */
static void growth_is_known_before(void **state)
{
    static char piece[5000];
    (void)state;
    memset(piece, 'x', sizeof(piece));
    for (size_t len = 1; len <= sizeof(piece); len += 333) {
        struct capture c;
        capture_init(&c);
        capture_reset(&c, 30000);
        size_t expected = capture_growth(&c, sizeof(head) - 1);
        capture_head(&c, 200, head, sizeof(head) - 1);
        assert_int_equal(c.room, expected);
        for (int i = 0; i < 40; i++) {
            size_t room = c.room;
            size_t growth = capture_growth(&c, len);
            capture_body(&c, piece, len);
            assert_int_equal(c.room - room, growth);
        }
        capture_done(&c);
    }
}

static void exactly_the_limit_is_not_truncated(void **state)
{
    struct capture c;
    (void)state;
    capture_init(&c);
    capture_reset(&c, 5);
    capture_head(&c, 200, head, sizeof(head) - 1);
    capture_body(&c, "12345", 5);
    capture_end(&c, OUTCOME_OK, 1);
    assert_false(c.truncated);
    capture_reset(&c, 5);
    capture_head(&c, 200, head, sizeof(head) - 1);
    capture_body(&c, "12345", 5);
    capture_body(&c, "6", 1);
    capture_end(&c, OUTCOME_OK, 1);
    assert_true(c.truncated);
    capture_done(&c);
}

static void a_limit_of_nothing_keeps_nothing(void **state)
{
    struct capture c;
    (void)state;
    capture_init(&c);
    capture_reset(&c, 0);
    capture_body(&c, "abc", 3); /* not even a head came before */
    capture_end(&c, OUTCOME_RESET, 1);
    assert_true(c.truncated);
    assert_int_equal(c.len, 0);
    assert_int_equal(c.body_len, 3);
    capture_done(&c);
}

static void a_later_head_replaces_an_earlier(void **state)
{
    struct capture c;
    (void)state;
    capture_init(&c);
    capture_reset(&c, 2);
    capture_head(&c, 103, "Link: </a>\r\n", 12);
    capture_body(&c, "abc", 3);
    capture_head(&c, 200, head, sizeof(head) - 1);
    capture_body(&c, "x", 1);
    capture_end(&c, OUTCOME_OK, 1);
    assert_int_equal(c.status, 200);
    assert_int_equal(c.head_len, sizeof(head) - 1);
    assert_int_equal(c.body_len, 1);
    assert_false(c.truncated);
    capture_done(&c);
}

static void keeps_its_buffer_but_not_a_large_one(void **state)
{
    struct capture c;
    char *large = malloc(200 * 1024);
    (void)state;
    assert_non_null(large);
    memset(large, 'x', 200 * 1024);
    capture_init(&c);
    capture_reset(&c, 1024 * 1024);
    capture_head(&c, 200, head, sizeof(head) - 1);
    capture_body(&c, "small", 5);
    capture_end(&c, OUTCOME_OK, 1);
    const char *buffer = c.at;
    for (int i = 0; i < 100; i++) {
        capture_reset(&c, 1024 * 1024);
        capture_head(&c, 200, head, sizeof(head) - 1);
        capture_body(&c, large, 1000);
        capture_end(&c, OUTCOME_OK, 1);
        assert_ptr_equal(c.at, buffer);
    }
    capture_reset(&c, 1024 * 1024);
    capture_body(&c, large, 200 * 1024);
    capture_end(&c, OUTCOME_OK, 1);
    assert_true(c.room > 64 * 1024);
    capture_reset(&c, 1024 * 1024);
    assert_int_equal(c.room, 0);
    assert_null(c.at);
    capture_done(&c);
    free(large);
}

/* A length nobody has memory for: the capture gives up, and everything after it is harmless. */
static void without_memory_it_says_so(void **state)
{
    struct capture c;
    (void)state;
    capture_init(&c);
    capture_reset(&c, SIZE_MAX);
    capture_head(&c, 200, head, sizeof(head) - 1);
    capture_body(&c, "x", SIZE_MAX / 2);
    assert_true(c.failed);
    capture_body(&c, "y", 1);
    capture_end(&c, OUTCOME_OK, 1);
    assert_true(c.failed);
    capture_reset(&c, 10);
    assert_false(c.failed);
    capture_done(&c);
}

static void done_may_be_repeated(void **state)
{
    struct capture c;
    struct pair *pair = pair_new();
    (void)state;
    capture_init(&c);
    capture_done(&c);
    capture_done(&c);
    pair_free(pair);
    pair_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_head_and_body),
        cmocka_unit_test(keeps_trailers_behind_the_body),
        cmocka_unit_test(digests_what_it_does_not_keep),
        cmocka_unit_test(of_a_request_the_beginning_is_kept_without_a_digest),
        cmocka_unit_test(growth_is_known_before),
        cmocka_unit_test(exactly_the_limit_is_not_truncated),
        cmocka_unit_test(a_limit_of_nothing_keeps_nothing),
        cmocka_unit_test(a_later_head_replaces_an_earlier),
        cmocka_unit_test(keeps_its_buffer_but_not_a_large_one),
        cmocka_unit_test(without_memory_it_says_so),
        cmocka_unit_test(done_may_be_repeated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
