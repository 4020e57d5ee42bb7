/*
 * Fleets in simulated time: five replicas, one Redis, and everything that can go wrong between them, drawn by seed.
 * What must hold at every moment is checked as it happens, what must hold in the end when all has been well for a
 * while:
 *
 *   - no acknowledged change is lost: the change that stands has it in its past, by a record that nothing here forgets
 *   - nobody changes anything as leader but the one who leads, and there is one at most at any time
 *   - no share rises but by a leader's verdict, a person or a file
 *   - passthrough that was ordered on is on, unless a person who knew of it turned it off
 *   - all replicas know the same, Redis too; counts are taken in once; nobody sends more than 20 operations a second
 *
 * SHUNT_FLEET_SEEDS=FIRST-LAST runs others. SHUNT_FLEET_TRANSCRIPT=FILE writes down what Redis was asked and what it
 * answered, for tests/integration/test_fleet_script.py.
 */
#include "fleet_redis.h"

enum {
    REPLICAS = 5,
    FAULTS = 40,
    TICK_MS = 25,
    CALM_MS = 15000,
    MESSAGES = 512,
    ORDERS = 512,
    CHANGES = 4096,
    ITEMS = 3,
    WISHES_EACH = 10, /* of one item: fewer than the versions apart that are no conflict */
    RATE_WINDOW = 20,
    SEEDS = 60,
};

static const char *const item_names[ITEMS] = {"passthrough", "route:a", "route:b"};

/* ---- what nothing forgets ---- */

struct change {
    char id[FLEET_ID + 1];
    char item[MODEL_NAME], text[MODEL_TEXT];
    int parents[2]; /* -1: none */
};

/* What somebody wanted. */
struct order {
    char text[MODEL_TEXT];
    int item;
    enum fleet_kind kind;
    uint32_t share;
    int replica;
    char base[FLEET_ID + 1]; /* the change it was decided on; "": not known here */
    bool acknowledged, kept;
    int change; /* the one that did it, or that stood and was as safe; -1: none yet */
};

enum message_kind {
    NOTHING,
    QUESTION,
    ANSWER,
    NEWS
};

struct message {
    enum message_kind kind;
    int replica;
    uint64_t at_ms, ticket, link;
    char operation[8];
    char *text;
};

struct simulation;

struct replica {
    struct simulation *simulation;
    int number;
    struct fleet *fleet;
    json_t *saved;
    uint64_t saved_revision;
    unsigned lives;
    bool linked;
    uint64_t link;    /* number of the connection */
    uint64_t back_ms; /* when the next connection is made */
    uint64_t paused_until_ms;
    uint64_t sent_ms[RATE_WINDOW];
    uint64_t sent;
    uint64_t filled; /* what it counted, in all its lives */
    uint32_t share[ITEMS];
};

struct simulation {
    struct model model;
    struct replica replicas[REPLICAS];
    struct message messages[MESSAGES];
    struct order orders[ORDERS];
    struct change changes[CHANGES];
    struct model_state snapshots[4];
    size_t order_count, change_count, snapshot_count;
    unsigned wished[ITEMS];
    uint64_t now_ms, random, latency_ms;
    bool forgetful; /* Redis may come back empty or older */
    bool calm, is_killing;
    FILE *transcript;
    uint64_t seed;
};

static uint64_t chance(struct simulation *s, uint64_t below)
{
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return (s->random * UINT64_C(2685821657736338717) >> 16) % below;
}

#define HOLDS(fact, ...)                                                                                               \
    do {                                                                                                               \
        if (!(fact)) {                                                                                                 \
            print_error("seed %llu, %llu ms: ", (unsigned long long)s->seed, (unsigned long long)s->now_ms);           \
            print_error(__VA_ARGS__);                                                                                  \
            fail();                                                                                                    \
        }                                                                                                              \
    } while (0)

/* ---- changes and their descent ---- */

static int change_of(const struct simulation *s, const char *item, const char *past)
{
    for (size_t i = 0; i < s->change_count; i++)
        if (strncmp(s->changes[i].id, past, FLEET_ID) == 0 && strcmp(s->changes[i].item, item) == 0)
            return (int)i;
    return -1;
}

/* Is `old` among those that `from` came of, or it itself? */
static bool descends(const struct simulation *s, int from, int old)
{
    if (from < 0 || from < old)
        return false; /* parents come first */
    if (from == old)
        return true;
    return descends(s, s->changes[from].parents[0], old) || descends(s, s->changes[from].parents[1], old);
}

static struct order *order_of(struct simulation *s, const char *text)
{
    for (size_t i = 0; i < s->order_count; i++)
        if (strcmp(s->orders[i].text, text) == 0)
            return &s->orders[i];
    return NULL;
}

static void on_change(void *context, const char *kind, const char *replica, uint64_t term, const struct model_item *now,
                      const struct model_item *before, const char *parent_b)
{
    struct simulation *s = context;
    struct order *order = order_of(s, now->text);
    HOLDS(order != NULL, "nobody ever wanted %s\n", now->text);
    HOLDS(s->change_count < CHANGES, "too many changes\n");
    bool is_raise = before->version > 0 && now->share > before->share;
    bool is_merge = strcmp(kind, "merge") == 0;
    if (!is_merge) {
        HOLDS(strcmp(kind, fleet_kind_name(order->kind)) == 0, "%s by %s\n", now->text, kind);
        HOLDS(!is_raise || strcmp(kind, "safety") != 0, "%s raises for safety\n", now->text);
        HOLDS(strcmp(kind, "safety") == 0 || order->base[0] == '\0' ||
                  strncmp(order->base, before->past, FLEET_ID) == 0,
              "%s was decided on another state than it changed\n", now->text);
    } else {
        HOLDS(!is_raise, "a merge chose the less safe %s\n", now->text);
    }
    if (strcmp(kind, "leader") == 0)
        HOLDS(strcmp(replica, s->model.state.lease_holder) == 0 && term == s->model.state.lease_term &&
                  s->now_ms < s->model.state.lease_until_ms,
              "%s of a leader that is none\n", now->text);
    struct change *change = &s->changes[s->change_count++];
    *change = (struct change){.parents = {change_of(s, now->name, before->past), -1}};
    memcpy(change->id, now->past, FLEET_ID);
    strcpy(change->item, now->name);
    strcpy(change->text, now->text);
    if (before->version == 0)
        change->parents[0] = -1;
    if (parent_b != NULL)
        change->parents[1] = change_of(s, now->name, parent_b);
    if (!is_merge)
        order->change = (int)s->change_count - 1;
}

static void on_safe(void *context, const struct model_item *wanted, const struct model_item *now)
{
    struct simulation *s = context;
    struct order *order = order_of(s, wanted->text);
    HOLDS(order != NULL, "nobody ever wanted %s\n", wanted->text);
    order->change = change_of(s, now->name, now->past);
}

/* ---- what is wanted ---- */

/* Of several orders of one replica that Redis did not know, only the safest was told. */
static bool is_outdone(const struct simulation *s, const struct order *order)
{
    for (size_t i = 0; i < s->order_count; i++) {
        const struct order *other = &s->orders[i];
        if (other->kind == FLEET_FOR_SAFETY && other->item == order->item && other->replica == order->replica &&
            other->change >= 0 && other->share <= order->share)
            return true;
    }
    return false;
}

static void on_done(void *context, uint64_t ticket, const char *why)
{
    struct simulation *s = context;
    struct order *order = &s->orders[ticket];
    if (s->is_killing)
        return;
    HOLDS(!order->acknowledged && !order->kept, "%s is told twice\n", order->text);
    order->kept = order->kind == FLEET_FOR_SAFETY && why != NULL;
    order->acknowledged = why == NULL;
    HOLDS(why != NULL || order->change >= 0 || is_outdone(s, order), "%s was acknowledged and never done\n",
          order->text);
}

static void want(struct replica *replica, int item, enum fleet_kind kind, uint32_t share)
{
    struct simulation *s = replica->simulation;
    if (s->wished[item] >= WISHES_EACH || s->order_count >= ORDERS)
        return;
    s->wished[item]++;
    uint64_t ticket = s->order_count++;
    struct order *order = &s->orders[ticket];
    *order = (struct order){.item = item, .kind = kind, .share = share, .replica = replica->number, .change = -1};
    const struct fleet_item *known = fleet_item(replica->fleet, item_names[item]);
    if (known != NULL && known->past != NULL)
        snprintf(order->base, sizeof(order->base), "%.8s", known->past);
    snprintf(order->text, sizeof(order->text), "{\"order\":%llu}", (unsigned long long)ticket);
    const struct fleet_item wanted = {.name = (char *)item_names[item], .share = share, .text = order->text};
    const struct fleet_change change = {
        .kind = kind, .items = &wanted, .item_count = 1, .log = "{}", .done = on_done, .context = s, .ticket = ticket};
    fleet_change(replica->fleet, &change, s->now_ms);
}

static void want_something(struct replica *replica)
{
    struct simulation *s = replica->simulation;
    int item = (int)chance(s, ITEMS);
    uint32_t most = item == 0 ? 1 : 10000, unit = item == 0 ? 1 : 500;
    uint64_t what = chance(s, 10);
    if (what < 3)
        want(replica, item, FLEET_FOR_SAFETY, item == 0 || what < 2 ? 0 : (uint32_t)chance(s, 5) * unit);
    else if (what < 7)
        want(replica, item, FLEET_BY_PERSON, (uint32_t)chance(s, most / unit + 1) * unit);
    else if (item != 0 && fleet_role(replica->fleet) == FLEET_LEADER)
        want(replica, item, FLEET_BY_LEADER, (uint32_t)chance(s, most / unit + 1) * unit);
}

/* ---- the network ---- */

static void post(struct simulation *s, enum message_kind kind, int replica, uint64_t at_ms, uint64_t ticket,
                 const char *operation, const char *text)
{
    for (size_t i = 0; i < MESSAGES; i++) {
        struct message *message = &s->messages[i];
        if (message->kind != NOTHING)
            continue;
        *message = (struct message){kind, replica, at_ms, ticket, s->replicas[replica].link, "", strdup(text)};
        assert_non_null(message->text);
        snprintf(message->operation, sizeof(message->operation), "%s", operation);
        return;
    }
    HOLDS(false, "too many messages\n");
}

static bool send_question(void *context, uint64_t ticket, const char *operation, const json_t *routes,
                          const char *document)
{
    struct replica *replica = context;
    struct simulation *s = replica->simulation;
    (void)routes;
    if (!replica->linked)
        return false; /* it has not heard of it yet */
    uint64_t *oldest = &replica->sent_ms[replica->sent++ % RATE_WINDOW];
    HOLDS(replica->sent <= RATE_WINDOW || s->now_ms - *oldest >= 1000, "replica %d sends more than %d a second\n",
          replica->number, RATE_WINDOW);
    *oldest = s->now_ms;
    post(s, QUESTION, replica->number, s->now_ms + chance(s, s->latency_ms), ticket, operation, document);
    return true;
}

static void forget(struct message *message)
{
    free(message->text);
    *message = (struct message){0};
}

static void drop_messages(struct simulation *s, int replica)
{
    for (size_t i = 0; i < MESSAGES; i++)
        if (s->messages[i].kind != NOTHING && s->messages[i].replica == replica)
            forget(&s->messages[i]);
}

/* What is on the wire to Redis may still arrive; nothing comes back. */
static void cut(struct replica *replica, uint64_t away_ms)
{
    struct simulation *s = replica->simulation;
    replica->back_ms = s->now_ms + away_ms;
    if (!replica->linked)
        return;
    for (size_t i = 0; i < MESSAGES; i++)
        if (s->messages[i].kind == QUESTION && s->messages[i].replica == replica->number && chance(s, 2) == 0)
            forget(&s->messages[i]);
    replica->linked = false;
    replica->link++;
    if (s->now_ms >= replica->paused_until_ms && replica->fleet != NULL)
        fleet_lost(replica->fleet, s->now_ms);
}

/* Returns false when it is of a connection that is no more. */
static void run_question(struct simulation *s, struct message *message)
{
    struct replica *replica = &s->replicas[message->replica];
    s->model.now_ms = s->now_ms;
    char *answer = model_ask(&s->model, message->operation, message->text);
    if (s->transcript != NULL)
        fprintf(s->transcript, "%s %s\n%s\n", message->operation, message->text, answer);
    for (int i = 0; i < REPLICAS && s->model.news != NULL; i++)
        if (s->replicas[i].linked && (s->calm || chance(s, 10) > 0))
            post(s, NEWS, i, s->now_ms + chance(s, s->latency_ms), 0, "", s->model.news);
    if (replica->linked && message->link == replica->link)
        post(s, ANSWER, message->replica, s->now_ms + chance(s, s->latency_ms), message->ticket, "", answer);
    free(answer);
}

static void deliver(struct simulation *s, struct message *message)
{
    struct replica *replica = &s->replicas[message->replica];
    bool is_its = replica->fleet != NULL && replica->linked && message->link == replica->link;
    struct message mine = *message;
    *message = (struct message){0};
    if (mine.kind == QUESTION)
        run_question(s, &mine);
    else if (mine.kind == ANSWER && is_its)
        fleet_answer(replica->fleet, mine.ticket, mine.text, s->now_ms);
    else if (mine.kind == NEWS && is_its)
        fleet_news(replica->fleet, mine.text, strlen(mine.text), s->now_ms);
    free(mine.text);
}

/* In the order they are due; a paused replica gets its own when it wakes. */
static void deliver_due(struct simulation *s)
{
    for (;;) {
        struct message *next = NULL;
        for (size_t i = 0; i < MESSAGES; i++) {
            struct message *message = &s->messages[i];
            bool is_paused = message->kind != QUESTION && s->now_ms < s->replicas[message->replica].paused_until_ms;
            if (message->kind != NOTHING && !is_paused && message->at_ms <= s->now_ms &&
                (next == NULL || message->at_ms < next->at_ms))
                next = message;
        }
        if (next == NULL)
            return;
        deliver(s, next);
    }
}

/* ---- replicas ---- */

static void fill_beat(void *context, struct fleet_beat *beat)
{
    struct replica *replica = context;
    beat->view = json_pack("{s:i}", "epoch", (int)fleet_epoch(replica->fleet));
    if (chance(replica->simulation, 3) == 0)
        return;
    replica->filled++;
    beat->counts = json_pack("{s:[{s:i, s:{s:i}}]}", "routes", "entry", 1, "add", "n", 1);
    beat->routes = json_pack("[s]", "a");
}

static void on_item(void *context, const struct fleet_item *item)
{
    struct replica *replica = context;
    struct simulation *s = replica->simulation;
    HOLDS(order_of(s, item->text) != NULL, "replica %d was told of %s\n", replica->number, item->text);
    for (int i = 0; i < ITEMS; i++)
        if (strcmp(item_names[i], item->name) == 0)
            replica->share[i] = item->share;
}

static void start(struct replica *replica)
{
    struct simulation *s = replica->simulation;
    char name[16], boot[16];
    const char *why = NULL;
    snprintf(name, sizeof(name), "r%d", replica->number);
    snprintf(boot, sizeof(boot), "b%d-%u", replica->number, replica->lives++);
    const struct fleet_options options = {.replica = name, .boot = boot, .may_lead = true};
    const struct fleet_hooks hooks = {
        .context = replica, .send = send_question, .fill_beat = fill_beat, .on_item = on_item};
    replica->fleet = fleet_new(&options, &hooks);
    assert_non_null(replica->fleet);
    fleet_tick(replica->fleet, s->now_ms);
    if (replica->saved != NULL)
        HOLDS(fleet_restore(replica->fleet, replica->saved, &why), "what was saved is refused: %s\n", why);
    replica->linked = false;
    replica->paused_until_ms = 0;
    replica->back_ms = s->now_ms + chance(s, 300);
}

static void save(struct replica *replica)
{
    if (replica->fleet == NULL || fleet_revision(replica->fleet) == replica->saved_revision)
        return;
    json_decref(replica->saved);
    replica->saved = fleet_save(replica->fleet);
    replica->saved_revision = fleet_revision(replica->fleet);
    assert_non_null(replica->saved);
}

/* kill -9: what it waited for, nobody is told. What it had saved is there. */
static void kill_replica(struct replica *replica)
{
    struct simulation *s = replica->simulation;
    for (size_t i = 0; i < MESSAGES; i++)
        if (s->messages[i].kind == ANSWER && s->messages[i].replica == replica->number)
            s->messages[i].link = UINT64_MAX;
    s->is_killing = true;
    fleet_free(replica->fleet);
    s->is_killing = false;
    replica->linked = false;
    replica->link++;
    replica->saved_revision = UINT64_MAX;
    start(replica);
}

static void step_replica(struct replica *replica)
{
    struct simulation *s = replica->simulation;
    if (s->now_ms < replica->paused_until_ms)
        return;
    if (replica->paused_until_ms != 0 && !replica->linked)
        fleet_lost(replica->fleet, s->now_ms); /* it hears of it only now */
    replica->paused_until_ms = 0;
    if (!replica->linked && s->now_ms >= replica->back_ms) {
        replica->linked = true;
        fleet_connected(replica->fleet, s->now_ms);
    }
    fleet_tick(replica->fleet, s->now_ms);
}

static void one_leads(struct simulation *s)
{
    int leaders = 0;
    for (int i = 0; i < REPLICAS; i++)
        leaders += s->now_ms >= s->replicas[i].paused_until_ms && fleet_role(s->replicas[i].fleet) == FLEET_LEADER;
    HOLDS(leaders <= 1, "%d replicas lead\n", leaders);
}

static void run_for(struct simulation *s, uint64_t ms)
{
    for (uint64_t end_ms = s->now_ms + ms; s->now_ms < end_ms; s->now_ms += TICK_MS) {
        deliver_due(s);
        for (int i = 0; i < REPLICAS; i++)
            step_replica(&s->replicas[i]);
        one_leads(s);
        for (int i = 0; i < REPLICAS; i++)
            save(&s->replicas[i]);
    }
}

/* ---- faults ---- */

static void restart_redis(struct simulation *s)
{
    uint64_t which = s->snapshot_count > 0 ? chance(s, s->snapshot_count + 1) : 0;
    if (which == s->snapshot_count)
        memset(&s->model.state, 0, sizeof(s->model.state));
    else
        s->model.state = s->snapshots[which];
    s->model.state.lease_until_ms = 0; /* it was away for longer */
    if (s->transcript != NULL)
        fprintf(s->transcript, "restart %d\n", which == s->snapshot_count ? -1 : (int)which);
    for (int i = 0; i < REPLICAS; i++) {
        drop_messages(s, i);
        cut(&s->replicas[i], 1 + chance(s, 4) * 400);
    }
}

static void take_snapshot(struct simulation *s)
{
    size_t place = s->snapshot_count < 4 ? s->snapshot_count++ : chance(s, 4);
    s->snapshots[place] = s->model.state;
    if (s->transcript != NULL)
        fprintf(s->transcript, "snapshot %zu\n", place);
}

static void harm(struct simulation *s)
{
    struct replica *replica = &s->replicas[chance(s, REPLICAS)];
    switch (chance(s, 9)) {
    case 0:
        cut(replica, chance(s, 5000));
        break;
    case 1:
        if (replica->paused_until_ms == 0)
            replica->paused_until_ms = s->now_ms + chance(s, 6000);
        break;
    case 2:
        if (replica->paused_until_ms == 0)
            kill_replica(replica);
        break;
    case 3:
        s->latency_ms = 1 + chance(s, 4) * chance(s, 300);
        break;
    case 4:
        for (int i = 0; i < REPLICAS; i++)
            cut(&s->replicas[i], chance(s, 3000));
        break;
    case 5:
        take_snapshot(s);
        break;
    case 6:
    case 7:
        if (s->forgetful)
            restart_redis(s);
        break;
    default:
        break;
    }
}

/* ---- the end ---- */

static void all_agree(struct simulation *s)
{
    for (int i = 0; i < REPLICAS; i++) {
        struct fleet *fleet = s->replicas[i].fleet;
        json_t *status = fleet_status(fleet, s->now_ms);
        HOLDS(fleet_role(fleet) != FLEET_CUT_OFF, "replica %d is cut off\n", i);
        HOLDS(fleet_epoch(fleet) == s->model.state.epoch, "replica %d is at epoch %llu of %llu\n", i,
              (unsigned long long)fleet_epoch(fleet), (unsigned long long)s->model.state.epoch);
        HOLDS(strcmp(json_string_value(json_object_get(status, "mark")), s->model.state.mark) == 0,
              "replica %d: another mark\n", i);
        HOLDS(json_integer_value(json_object_get(status, "untold_safety")) == 0, "replica %d keeps an order\n", i);
        json_decref(status);
        for (int n = 0; n < ITEMS; n++) {
            const struct fleet_item *known = fleet_item(fleet, item_names[n]);
            const struct model_item *there = model_find(&s->model, item_names[n]);
            HOLDS((known == NULL) == (there == NULL), "replica %d: %s\n", i, item_names[n]);
            HOLDS(there == NULL || (strcmp(known->text, there->text) == 0 && s->replicas[i].share[n] == there->share),
                  "replica %d: another %s\n", i, item_names[n]);
        }
    }
}

/* Did somebody turn passthrough off who knew of this change, and does what stands come of it? */
static bool is_turned_off_after(struct simulation *s, int stands, int on)
{
    for (int i = on + 1; i < (int)s->change_count; i++) {
        const struct order *order = order_of(s, s->changes[i].text);
        if (order->item == 0 && order->share != 0 && descends(s, i, on) && descends(s, stands, i))
            return true;
    }
    return false;
}

static void nothing_is_lost(struct simulation *s)
{
    for (size_t i = 0; i < s->order_count; i++) {
        const struct order *order = &s->orders[i];
        if (!order->acknowledged && !order->kept)
            continue;
        const struct model_item *final = model_find(&s->model, item_names[order->item]);
        HOLDS(final != NULL, "%s: the item is gone\n", order->text);
        HOLDS(order->change >= 0 || is_outdone(s, order), "%s was kept and never told\n", order->text);
        if (order->change < 0)
            continue;
        int stands = change_of(s, final->name, final->past);
        HOLDS(descends(s, stands, order->change), "%s (%s of %s) is lost\n", order->text, fleet_kind_name(order->kind),
              item_names[order->item]);
        if (order->item == 0 && order->share == 0 && final->share != 0)
            HOLDS(is_turned_off_after(s, stands, order->change),
                  "passthrough was turned on by %s, and %s won over it\n", order->text, final->text);
    }
}

static void counted_once(struct simulation *s)
{
    for (int i = 0; i < REPLICAS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "r%d", i);
        const struct model_replica *there = model_replica(&s->model, name);
        uint64_t filled = s->replicas[i].filled, lives = s->replicas[i].lives;
        HOLDS(there->counted <= filled, "replica %d counted %llu, Redis %llu\n", i, (unsigned long long)filled,
              (unsigned long long)there->counted);
        /* One parcel may be under way at the end of each life. */
        HOLDS(s->forgetful || there->counted + lives >= filled, "replica %d counted %llu, Redis only %llu\n", i,
              (unsigned long long)filled, (unsigned long long)there->counted);
    }
}

/* ---- runs ---- */

static void run_seed(uint64_t seed, FILE *transcript)
{
    struct simulation *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    s->seed = seed;
    s->random = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    s->now_ms = 1000000;
    s->latency_ms = 5;
    s->forgetful = seed % 3 != 0;
    s->transcript = transcript;
    s->model.on_change = on_change;
    s->model.on_safe = on_safe;
    s->model.context = s;
    for (int i = 0; i < REPLICAS; i++) {
        s->replicas[i].simulation = s;
        s->replicas[i].number = i;
        start(&s->replicas[i]);
    }
    for (int i = 0; i < FAULTS; i++) {
        run_for(s, 25 + chance(s, 1500));
        struct replica *replica = &s->replicas[chance(s, REPLICAS)];
        if (s->now_ms >= replica->paused_until_ms)
            want_something(replica);
        save(replica); /* before anybody is told */
        if (chance(s, 2) == 0)
            harm(s);
    }
    s->calm = true;
    s->latency_ms = 5;
    for (int i = 0; i < REPLICAS; i++)
        s->replicas[i].paused_until_ms = s->replicas[i].paused_until_ms != 0 ? s->now_ms : 0;
    run_for(s, CALM_MS);
    all_agree(s);
    nothing_is_lost(s);
    counted_once(s);
    for (int i = 0; i < REPLICAS; i++) {
        fleet_free(s->replicas[i].fleet);
        json_decref(s->replicas[i].saved);
        drop_messages(s, i);
    }
    model_done(&s->model);
    free(s);
}

static void fleets_survive_everything(void **state)
{
    unsigned long long first = 1, last = SEEDS;
    const char *seeds = getenv("SHUNT_FLEET_SEEDS"), *path = getenv("SHUNT_FLEET_TRANSCRIPT");
    FILE *transcript = path != NULL ? fopen(path, "w") : NULL;
    (void)state;
    assert_true(path == NULL || transcript != NULL);
    if (seeds != NULL)
        assert_int_equal(sscanf(seeds, "%llu-%llu", &first, &last), 2);
    for (unsigned long long seed = first; seed <= last; seed++) {
        if (transcript != NULL)
            fprintf(transcript, "seed %llu\n", seed);
        run_seed(seed, transcript);
    }
    if (transcript != NULL)
        assert_int_equal(fclose(transcript), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fleets_survive_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
