/* model/queue: values from textbooks and identities between the formulas. */
#include "model/queue.h"

#include "base/assert.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void near(double got, double want, double relative, const char *what)
{
    if (!(fabs(got - want) <= relative * fabs(want)))
        fail_msg("%s: want %.8g, got %.8g", what, want, got);
}

static void erlang_tables(void **state)
{
    static const struct { double servers, offered, b, c; } cases[] = {
        { 1, 0.5, 1.0 / 3, 0.5 }, { 10, 5, 0.018385, 0.036105 }, { 2, 1, 0.2, 1.0 / 3 }, { 100, 90, 0.026957, 0.216935 },
    };
    (void)state;
    for (size_t i = 0; i < MU_COUNT(cases); i++) {
        near(mu_erlang_b(cases[i].servers, cases[i].offered), cases[i].b, 1e-4, "B");
        near(mu_erlang_c(cases[i].servers, cases[i].offered), cases[i].c, 1e-4, "C");
    }
    near(mu_erlang_c(2, 3), 1, 0, "overload waits always");
}

static void one_server_is_exact(void **state)
{
    struct mu_queue_load l = { .servers = 1, .rate = 0.8, .service_rate = 1, .ca2 = 1, .cs2 = 1 };
    struct mu_queue_result r = mu_queue_mmc(&l);
    (void)state;
    near(r.mean_response, 5, 1e-9, "M/M/1");
    near(r.mean_wait, 4, 1e-9, "M/M/1 wait");
    near(r.p99_response, 5 * log(100), 1e-9, "M/M/1 p99 = T ln 100");
    near(r.throughput, 0.8, 1e-12, "throughput");
    l.cs2 = 0;
    near(mu_queue_mgc(&l).mean_wait, 2, 1e-9, "M/D/1 waits half");
    near(mu_queue_ggc(&l).mean_wait, 2, 1e-9, "Allen-Cunneen M/D/1");
    l.cs2 = 4;
    near(mu_queue_mgc(&l).mean_wait, 10, 1e-9, "Pollaczek-Khinchine, cv2 4");
    assert_true(mu_queue_ps(&l).mean_response > 0);
    near(mu_queue_ps(&l).mean_response, 5, 1e-9, "processor sharing does not see cv2");
}

static void overload_says_so(void **state)
{
    struct mu_queue_load l = { .servers = 3, .rate = 4.5, .service_rate = 1, .ca2 = 1, .cs2 = 1 };
    struct mu_queue_result r = mu_queue_mmc(&l);
    (void)state;
    assert_false(r.valid);
    assert_true(isinf(r.mean_response));
    near(r.throughput, 3, 1e-12, "ceiling");
    assert_non_null(strstr(r.note, "at least 5"));
    l.servers = 0;
    assert_false(mu_queue_mmc(&l).valid);
    l.servers = 2;
    l.rate = -1;
    assert_false(mu_queue_mgc(&l).valid);
}

static void a_full_room_is_erlang_b(void **state)
{
    struct mu_queue_load l = { .servers = 4, .rate = 3, .service_rate = 1, .ca2 = 1, .cs2 = 1 };
    struct mu_queue_result r = mu_queue_mmck(&l, 4);
    (void)state;
    near(r.wait_probability, mu_erlang_b(4, 3), 1e-9, "K = c");
    near(mu_queue_mmck(&l, 2000).mean_response, mu_queue_mmc(&l).mean_response, 1e-6, "K large");
    l.rate = 400;
    near(mu_queue_mmck(&l, 5000).throughput, 4, 1e-6, "overload keeps servers busy");
    assert_false(mu_queue_mmck(&l, 3).valid);
}

static void servers_for_is_the_fewest(void **state)
{
    struct mu_queue_load l = { .rate = 90, .service_rate = 1, .ca2 = 1, .cs2 = 2 };
    (void)state;
    for (double target = 1.05; target < 3; target += 0.3) {
        uint64_t c = mu_queue_servers_for(&l, target, false);
        struct mu_queue_load at = l;
        assert_true(c > 90);
        at.servers = (double)c;
        assert_true(mu_queue_mgc(&at).mean_response <= target);
        at.servers -= 1;
        assert_true(at.servers <= 90 || mu_queue_mgc(&at).mean_response > target);
    }
    assert_int_equal(mu_queue_servers_for(&l, 0.5, false), 0);
}

static void usl_is_found_again(void **state)
{
    struct mu_usl true_one = { .gamma = 1000, .alpha = 0.03, .beta = 0.0005 }, fit;
    double n[] = { 1, 2, 4, 8, 16, 32, 64 }, x[7];
    (void)state;
    for (int i = 0; i < 7; i++)
        x[i] = mu_usl_at(&true_one, n[i]);
    fit = mu_usl_fit(n, x, 7);
    assert_true(fit.valid);
    near(fit.gamma, 1000, 1e-6, "gamma");
    near(fit.alpha, 0.03, 1e-6, "alpha");
    near(fit.beta, 0.0005, 1e-6, "beta");
    near(fit.best_n, sqrt(0.97 / 0.0005), 1e-6, "peak");
    assert_false(mu_usl_fit(n, x, 2).valid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(erlang_tables), cmocka_unit_test(one_server_is_exact), cmocka_unit_test(overload_says_so),
        cmocka_unit_test(a_full_room_is_erlang_b), cmocka_unit_test(servers_for_is_the_fewest), cmocka_unit_test(usl_is_found_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
