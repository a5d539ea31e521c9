/* Users: quotas, what they use now, and what they have used, fading with a half-life. */
#include "core/state.h"

/* 2^63 * 2^(-2^-i), i = 1..32: halving by a fraction, bit by bit. */
static const uint64_t roots[32] = {
    UINT64_C(0x5A827999FCEF3242), UINT64_C(0x6BA27E656B4EB57A), UINT64_C(0x75606373EE921C97), UINT64_C(0x7A92BE8A92436616),
    UINT64_C(0x7D41D96DB915019D), UINT64_C(0x7E9F06067A4360BA), UINT64_C(0x7F4F08AE3DC7C426), UINT64_C(0x7FA765ACA88F6453),
    UINT64_C(0x7FD3AB290E46D769), UINT64_C(0x7FE9D3A8E07BF086), UINT64_C(0x7FF4E9597BED93AB), UINT64_C(0x7FFA748DFF8DC61F),
    UINT64_C(0x7FFD3A3F50020332), UINT64_C(0x7FFE9D1DBC0A75AA), UINT64_C(0x7FFF4E8E6306ED59), UINT64_C(0x7FFFA74712C3CDFD),
    UINT64_C(0x7FFFD3A381B1FA29), UINT64_C(0x7FFFE9D1BEED018A), UINT64_C(0x7FFFF4E8DEFB81D7), UINT64_C(0x7FFFFA746F5F012F),
    UINT64_C(0x7FFFFD3A37A7D0A8), UINT64_C(0x7FFFFE9D1BD1FC58), UINT64_C(0x7FFFFF4E8DE8832D), UINT64_C(0x7FFFFFA746F422D7),
    UINT64_C(0x7FFFFFD3A37A09BB), UINT64_C(0x7FFFFFE9D1BD02F2), UINT64_C(0x7FFFFFF4E8DE80FE), UINT64_C(0x7FFFFFFA746F4060),
    UINT64_C(0x7FFFFFFD3A37A028), UINT64_C(0x7FFFFFFE9D1BD012), UINT64_C(0x7FFFFFFF4E8DE809), UINT64_C(0x7FFFFFFFA746F404),
};
enum { FADE_STEP_MS = 1000 }; /* usage is brought up to date at most once a second: one multiplication chain a second */

uint64_t mu_usage_decayed(uint64_t usage, uint64_t age_ms, uint64_t halflife_ms)
{
    uint64_t halvings = age_ms / halflife_ms;
    uint64_t fraction = (uint64_t)(((unsigned __int128)(age_ms % halflife_ms) << 32) / halflife_ms);

    if (halvings >= 64)
        return 0;
    usage >>= halvings;
    for (uint32_t i = 0; i < 32; i++) {
        if (fraction >> (31 - i) & 1)
            usage = (uint64_t)((unsigned __int128)usage * roots[i] >> 63);
    }
    return usage;
}

void mu_user_charge(struct mu_core *core, struct mu_user *user, uint64_t share_ppm, uint64_t run_ms)
{
    uint64_t age_ms = core->now_ms - user->usage_ms, more = share_ppm * run_ms;

    MU_ASSERT(share_ppm <= 1000000 && core->now_ms >= user->usage_ms);
    if (age_ms >= FADE_STEP_MS) {
        user->usage = mu_usage_decayed(user->usage, age_ms, core->halflife_ms);
        user->usage_ms = core->now_ms;
    }
    if (__builtin_mul_overflow(share_ppm, run_ms, &more) || __builtin_add_overflow(user->usage, more, &user->usage))
        user->usage = UINT64_MAX; /* longer than the species: full is full */
}

struct mu_user *mu_user_find(const struct mu_core *core, struct mu_str name)
{
    uint32_t word = mu_words_find(&core->words, name);

    return word ? mu_map_get_ptr(&core->users.by_word, word) : NULL;
}

struct mu_user *mu_user_make(struct mu_core *core, struct mu_str name)
{
    struct mu_users *users = &core->users;
    struct mu_user *user = mu_user_find(core, name);

    if (user)
        return user;
    if (users->count == users->cap) {
        users->cap = users->cap ? users->cap * 2 : 16;
        users->at = mu_core_resize(users->at, users->cap * sizeof users->at[0]);
    }
    user = mu_core_alloc(sizeof *user);
    user->id = mu_words_ref(&core->words, name);
    user->weight = 1;
    user->usage_ms = core->now_ms;
    mu_map_put_ptr(&users->by_word, user->id, user);
    users->at[users->count++] = user;
    return user;
}

void mu_users_fini(struct mu_core *core)
{
    for (uint32_t i = 0; i < core->users.count; i++)
        free(core->users.at[i]);
    free(core->users.at);
    mu_map_fini(&core->users.by_word);
    core->users = (struct mu_users){ 0 };
}

static enum mu_rc quota_admit(const struct mu_core *core, const struct mu_ev_quota *ev, struct mu_err *err)
{
    if (!mu_name_is_ok(ev->user))
        return mu_fail_at(err, MU_INVALID, "user", "a user's name has 1 to %d bytes and no control characters", MU_NAME_MAX);
    if (core->users.count == MU_USERS_MAX && mu_user_find(core, ev->user) == NULL)
        return mu_fail_at(err, MU_BUSY, "user", "%d users are known, which is all there may be", MU_USERS_MAX);
    return MU_OK;
}

/* Zeros: no limit, weight 1. */
void mu_on_quota(struct mu_core *core, const struct mu_ev_quota *ev)
{
    enum mu_rc rc = quota_admit(core, ev, &core->err);
    struct mu_user *user;

    mu_core_reply(core, rc, (struct mu_fx){ 0 });
    if (rc != MU_OK)
        return;
    user = mu_user_make(core, ev->user);
    user->waiting_max = ev->waiting_max;
    user->cpu_milli_max = ev->cpu_milli_max;
    user->weight = ev->weight ? ev->weight : 1;
    mu_core_emit(core, (struct mu_fx){ .kind = MU_FX_USER, .user = user->id });
}
