/* test/unit/unit.h -- what every unit test file starts from: cmocka, and the base it leans on. */
#ifndef MU_TEST_UNIT_H
#define MU_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/assert.h"

#endif
