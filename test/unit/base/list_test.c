#include "unit/unit.h"

#include "base/list.h"

struct item {
    int number;
    struct mu_list link;
};

static void expect(struct mu_list *head, const char *want)
{
    char got[16] = "";
    size_t count = 0;

    MU_LIST_EACH(it, head)
        got[count++] = (char)('0' + MU_CONTAINER(it, struct item, link)->number);
    assert_string_equal(got, want);
}

static void order_and_removal(void **state)
{
    struct mu_list head;
    struct item items[5];

    (void)state;
    mu_list_init(&head);
    assert_true(mu_list_is_empty(&head));
    for (int i = 0; i < 5; i++) {
        items[i].number = i;
        (i % 2 ? mu_list_add_head : mu_list_add_tail)(&head, &items[i].link);
    }
    expect(&head, "31024");
    mu_list_remove(&items[0].link);
    mu_list_remove(&items[0].link); /* safe twice */
    expect(&head, "3124");
    MU_LIST_EACH_SAFE(it, &head)
        if (MU_CONTAINER(it, struct item, link)->number % 2)
            mu_list_remove(it);
    expect(&head, "24");
    mu_list_remove(&items[2].link);
    mu_list_remove(&items[4].link);
    assert_true(mu_list_is_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_and_removal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
