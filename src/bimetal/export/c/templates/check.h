/* Makes a template of this folder C that a compiler can check by itself: cc -std=c99 -include check.h -c encode.c
 * Each template says below its own line "template" what goes into a header; above it stands what it needs here. */
#include <stdint.h>
#define FLASH
#define CODE
#define AT8(table, i) ((table)[i])
#define AT16(table, i) ((table)[i])
#define AT32(table, i) ((table)[i])
#define AT64(table, i) ((table)[i])
#define ATI8(table, i) ((table)[i])
#define ATI16(table, i) ((table)[i])
#define ATI32(table, i) ((table)[i])
#define ATF(table, i) ((table)[i])
#define NAME_N_COLUMNS 4
#define NAME_N_POINTS 3
#define NAME_N_ANSWERS 3
