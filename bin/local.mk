# What every program links: the framework, and the library. A program that needs internal functions
# takes libvdit-core.la in place of libvdit.la.
noinst_LTLIBRARIES += libprogram.la
libprogram_la_SOURCES = \
	%D%/files.c \
	%D%/plugin.c \
	%D%/program.c \
	%D%/program.h \
	%D%/progress.c
libprogram_la_CPPFLAGS = $(AM_CPPFLAGS) -DPROGRAM_DATADIR='"$(pkgdatadir)"' \
	-DPROGRAM_SOURCE_DATA='"$(abs_top_srcdir)/data"'
PROGRAM_LIBS = libprogram.la libvdit.la $(JANSSON_LIBS)

bin_PROGRAMS += %D%/vdit-attend
%C%_vdit_attend_SOURCES = \
	%D%/attend_estimate.c \
	%D%/attend_meters.c \
	%D%/attend_picture.c \
	%D%/attend_plan.c \
	%D%/attend_plan_say.c \
	%D%/attend_read.c \
	%D%/attend_write.c \
	%D%/attend.h \
	%D%/meters.c \
	%D%/meters.h \
	%D%/vdit-attend.c
%C%_vdit_attend_LDADD = $(PROGRAM_LIBS)

bin_PROGRAMS += %D%/vdit-check
%C%_vdit_check_SOURCES = \
	%D%/check.h \
	%D%/check_auto.c \
	%D%/check_command.c \
	%D%/check_explain.c \
	%D%/check_pair.c \
	%D%/check_print.c \
	%D%/check_relations.c \
	%D%/check_trace.c \
	%D%/check_waivers.c \
	%D%/relations.c \
	%D%/relations.h \
	%D%/relations_values.c \
	%D%/vdit-check.c
%C%_vdit_check_LDADD = $(PROGRAM_LIBS)

bin_PROGRAMS += %D%/vdit-forward
%C%_vdit_forward_SOURCES = \
	%D%/forward.h \
	%D%/forward_inputs.c \
	%D%/forward_plan.c \
	%D%/forward_sites.c \
	%D%/forward_say.c \
	%D%/meters.c \
	%D%/meters.h \
	%D%/model_time.c \
	%D%/model_time.h \
	%D%/vdit-forward.c
%C%_vdit_forward_LDADD = $(PROGRAM_LIBS)

bin_PROGRAMS += %D%/vdit-golden
%C%_vdit_golden_SOURCES = \
	%D%/golden.h \
	%D%/golden_mutants.c \
	%D%/golden_networks.c \
	%D%/vdit-golden.c
%C%_vdit_golden_LDADD = $(PROGRAM_LIBS)

bin_PROGRAMS += %D%/vdit-model
%C%_vdit_model_SOURCES = \
	%D%/model.h \
	%D%/model_convert.c \
	%D%/model_estimate.c \
	%D%/model_init.c \
	%D%/model_inspect.c \
	%D%/model_read.c \
	%D%/model_sites.c \
	%D%/model_time.c \
	%D%/model_time.h \
	%D%/vdit-model.c
%C%_vdit_model_LDADD = $(PROGRAM_LIBS)
