/* template */
/* Constants stay in flash, which an AVR reads by instructions of its own. */
#include <avr/pgmspace.h>
#define NAME_FLASH __attribute__((__progmem__))
#define NAME_AT8(table, i) pgm_read_byte(&(table)[i])
#define NAME_AT16(table, i) pgm_read_word(&(table)[i])
#define NAME_AT32(table, i) pgm_read_dword(&(table)[i])
#define NAME_ATF(table, i) pgm_read_float(&(table)[i])
