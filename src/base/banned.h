/* base/banned.h -- calls that lose data or overflow; force-included everywhere by the build.
 *
 * What       a use of one is an error of the compiler; their headers come first, so that they may declare them.
 * Ownership, Time, Threads, Limits: none.   Failure  the build.
 */
#ifndef MU_BASE_BANNED_H
#define MU_BASE_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#pragma GCC poison strcpy strcat sprintf vsprintf strtok gets localtime gmtime asctime ctime atoi atol

#endif
