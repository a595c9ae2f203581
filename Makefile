# fmtt: `make demo` looks at a tilted flow map within a minute after installation
PYTHONS := python3.11 python3.12 python3.13 python3.14 python3 python
NEW_ENOUGH := -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for found in $(PYTHONS); do "$$found" $(NEW_ENOUGH) 2>/dev/null && echo "$$found" && break; done)
BIN := .venv/bin
RUN := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-2} $(BIN)/python

.DEFAULT_GOAL := help
.PHONY: help setup setup-t2i demo test test-slow test-all lint docs validate digests toy-a toy-b geodesic frontier frontier-untuned \
	frontier-sampling samplers figures figures-quick mnist-zeros geometry clocks clock-law sensitivity edit tuning maximisers scenes-tuning scenes-geneval scenes-rates scenes-law scenes-gallery scenes-graded-tuning scenes-graded scenes-edit-tuning scenes-edit \
	coverage bench bench-resamplers train-mnist train-clocks train-scenes fuzz kill soak clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: .venv/installed ## create .venv from the pinned requirements, with any Python from 3.11 on (PYTHON=... names one)

.venv/installed: requirements.txt requirements-dev.txt pyproject.toml
	@"$(PYTHON)" $(NEW_ENOUGH) 2>/dev/null || { echo "fmtt needs Python 3.11 or newer with venv" \
		"(tried: $(or $(PYTHON),$(PYTHONS))); name one: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

setup-t2i: .venv/t2i-installed ## add the extra t2i (text-to-image models and rewards) to .venv

.venv/t2i-installed: requirements-t2i.txt .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements-t2i.txt
	@touch $@

demo: setup ## tilt MNIST digits toward mirror symmetry; look at the picture and the report
	$(RUN) run.py lookahead=flowmap4 reward=symmetry reward.scale=200 population.groups=16 population.particles=4

.venv/optuna: requirements-optuna.txt .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ -r requirements-optuna.txt
	@touch $@

.venv/docs: requirements-docs.txt .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ -r requirements-docs.txt
	@touch $@

.venv/peers: requirements-peers.txt .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --upgrade --target $@ -r requirements-peers.txt
	@touch $@

PYTEST := OMP_NUM_THREADS=1 PYTHONPATH=.venv/optuna $(BIN)/python -m pytest -n 2 --dist loadgroup
test: setup lint .venv/optuna ## lint, then the tests that are not marked slow
	$(PYTEST) -m "not slow" tests

test-slow: setup setup-t2i .venv/optuna .venv/docs ## the tests that are marked slow
	$(PYTEST) -m slow tests

test-all: setup setup-t2i lint .venv/optuna .venv/docs ## lint, then all tests (20 to 60 minutes on 2 cores, depending on the processor)
	$(PYTEST) tests

fuzz: setup ## 2,000 random command lines: each runs, or says on one line why not; and 200 in which nothing is without an effect
	FMTT_TRIES=2000 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -o timeout=0 tests/reliability/test_fuzz.py tests/reliability/test_effects.py

kill: setup ## 50 runs killed three times each at random moments, and resumed: the bytes of a run that was left alone
	FMTT_TRIES=50 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/reliability/test_kill.py

soak: setup ## a run of 10,000 steps: its memory stays flat
	FMTT_TRIES=10000 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/reliability/test_soak.py

lint: setup ## ruff, import-linter, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/mypy

docs: setup .venv/docs ## the pages of docs/ and the API reference as a site: site/index.html
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=.venv/docs $(BIN)/python -m mkdocs build --quiet --strict
	@echo site/index.html

validate: setup ## the statistical suite: 500 random problems, orders of convergence, mutants; outputs/validation/report.html
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.validation.suite

digests: setup ## what 104 small runs give, to the last bit, in outputs/digests.json (2 minutes); compare it with another one
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.digests record outputs/digests.json
	@echo "python -m tests.digests compare BEFORE.json outputs/digests.json"

TOY_A := OMP_NUM_THREADS=2 $(BIN)/python run.py -m experiment=toy_halfplane logger=none
toy-a: setup ## toy A of the paper beside exact values (5 minutes): a table, and outputs/toy_a.png
	$(TOY_A) hydra.sweep.dir=outputs/toy_a/weighted lookahead=none,flowmap1 mode.ess_threshold=0
	$(TOY_A) hydra.sweep.dir=outputs/toy_a/weighted_denoiser lookahead=denoiser sampler.epsilon.c=1 mode.ess_threshold=0
	$(TOY_A) hydra.sweep.dir=outputs/toy_a/once lookahead=none,flowmap1 mode.resample_at=[100]
	$(TOY_A) hydra.sweep.dir=outputs/toy_a/once_denoiser lookahead=denoiser sampler.epsilon.c=1 mode.resample_at=[100]
	$(TOY_A) hydra.sweep.dir=outputs/toy_a/local mode=local_tilt sampler.epsilon=zero sampler.steps=50
	$(TOY_A) hydra.sweep.dir=outputs/toy_a/search mode=search mode.keep=32 mode.rounds=2,3,4 \
		population.groups=1 population.particles=4000
	$(BIN)/python scripts/table.py outputs/toy_a --picture outputs/toy_a.png --columns positive/unweighted positive \
		exact/positive reward/weighted_mean exact/reward log_z/mean exact/log_z ess/final

TOY_B := OMP_NUM_THREADS=2 $(BIN)/python run.py -m experiment=toy_wavy_ring logger=none baseline=false
STEPS := sampler.steps=50,100,200,500
SEEDS := seed=0,1,2,3,4,5,6,7
PAPER := sampler/beta=early sampler.beta.end=0.1 sampler/epsilon=constant sampler.epsilon.c=0.1 sampler.transport=euler
toy-b: setup ## toy B of the paper beside exact draws (an hour): tables, and pictures in outputs
	$(TOY_B) $(STEPS) $(SEEDS) hydra.sweep.dir=outputs/toy_b/flow_map model=ring,ring_distilled mode.weights=jarzynski
	$(TOY_B) $(STEPS) $(SEEDS) hydra.sweep.dir=outputs/toy_b/others lookahead=none,denoiser
	$(TOY_B) $(STEPS) $(SEEDS) hydra.sweep.dir=outputs/toy_b/weighted lookahead=none,denoiser mode.ess_threshold=0
	$(TOY_B) $(SEEDS) hydra.sweep.dir=outputs/toy_b/no_noise lookahead=none,denoiser,flowmap1 sampler.epsilon=zero \
		mode.ess_threshold=0,0.5
	$(TOY_B) $(STEPS) seed=0,1,2,3 hydra.sweep.dir=outputs/toy_b/paper lookahead=none,denoiser,flowmap1 $(PAPER) \
		mode.ess_threshold=0.9
	for part in flow_map others weighted no_noise paper; do \
		$(BIN)/python scripts/table.py outputs/toy_b/$$part --picture outputs/toy_b_$$part.png --columns \
			mmd mmd/floor sliced_w2 sliced_w2/floor reward/weighted_mean log_z/mean ess/final ancestors/unique resamples; done

GEODESIC := OMP_NUM_THREADS=2 $(BIN)/python run.py -m model=gaussian reward=quadratic reward.scale=20 lookahead=flowmap1 \
	mode.weights=jarzynski,kernel sampler.steps=12,24 sampler/transport=flowmap sampler/epsilon=constant \
	sampler.epsilon.c=0.3 population.groups=256 population.particles=64 population.chunk=16384 logger=none baseline=false \
	seed=0,1,2,3
geodesic: setup ## what steps and ramps of equal thermodynamic length buy (5 minutes): a table
	$(GEODESIC) sampler.grid=uniform,geodesic hydra.sweep.dir=outputs/geodesic/grid
	$(GEODESIC) sampler/beta=geodesic sampler.beta.rounds=4 sampler.beta.particles=64 hydra.sweep.dir=outputs/geodesic/ramp
	$(BIN)/python scripts/table.py outputs/geodesic --columns log_z/mean exact/log_z log_z/stderr discrepancy \
		thermodynamic_length ess/final ess/min overshoot nfe/forward

FRONTIER := OMP_NUM_THREADS=1 $(BIN)/python run.py -m experiment=frontier launcher=joblib
RICHER := mode=auto lookahead=flowmap2 budget.nfe=640
RICHEST := mode=auto lookahead=flowmap4 budget.nfe=1600
HARDER := mode=search mode/gradient=strengthened mode.gradient.strength=64
REFERENCE := hydra.sweep.dir=outputs/frontier_reference population.particles=16 population.groups=1 budget.nfe=6656
frontier: setup ## reward against cost for every method on MNIST (2 hours and a quarter, goes on where it stopped): tables, outputs/frontier.png
	$(FRONTIER)
	$(FRONTIER) hydra.sweep.dir=outputs/frontier_variants mode=multi_best_of_n lookahead=flowmap1
	$(FRONTIER) hydra.sweep.dir=outputs/frontier_variants $(HARDER) lookahead=flowmap1
	$(FRONTIER) hydra.sweep.dir=outputs/frontier_variants $(RICHER)
	$(FRONTIER) hydra.sweep.dir=outputs/frontier_variants $(RICHEST)
	$(FRONTIER) $(REFERENCE) mode=search
	$(FRONTIER) $(REFERENCE) $(HARDER)
	$(BIN)/python scripts/frontier.py outputs/frontier outputs/frontier_variants outputs/frontier_reference

# what `make figures` draws; `make figures-quick` has a folder of its own, and less of everything
FIGURES := outputs
QUICK :=
FEW :=
MODEL_DIGITS := 350
MODEL_CLOCKS := 256
MODEL_SEEDS := seed=0,1,2,3
SWEEP := OMP_NUM_THREADS=1 $(BIN)/python run.py -m launcher=joblib logger=none resume=true $(QUICK)
figures: mnist-zeros geometry clocks clock-law sensitivity edit ## the experiments on the bundled models (two hours), and one page of all their runs
	$(BIN)/python scripts/compare.py $(FIGURES)/mnist_zeros $(FIGURES)/geometry $(FIGURES)/clocks $(FIGURES)/clock_law \
		$(FIGURES)/sensitivity $(FIGURES)/edit --out $(FIGURES)/figures.html

figures-quick: ## small versions of the same, in outputs/quick (nine minutes)
	$(MAKE) figures FIGURES=outputs/quick QUICK="seed=0 population.groups=2" MODEL_DIGITS=64 MODEL_CLOCKS=32 \
		FEW="population.particles=8 sampler.steps=8" TASKS='""' TIMES=4:45 CLOCK_BUDGET=1000 STAGES=clocks_1800,null ENDS=null BASELINES= MODEL_SEEDS=

ZEROS := $(SWEEP) experiment=mnist_zeros report=false baseline=false hydra.sweep.dir=$(FIGURES)/mnist_zeros
mnist-zeros: setup ## digits tilted to zeros with every look-ahead, against real zeros: a table, outputs/mnist_zeros.png
	$(ZEROS) $(FEW) lookahead=none,denoiser,diffusion4 mode.weights=kernel
	$(ZEROS) $(FEW) lookahead=flowmap1,flowmap2,flowmap4 mode.weights=jarzynski
	$(ZEROS) $(FEW) lookahead=exact lookahead.steps=4 mode.weights=jarzynski
	$(ZEROS) $(FEW) lookahead=denoiser,flowmap1 mode.weights=material
	$(ZEROS) mode=base lookahead=none population.particles=$(MODEL_DIGITS)
	$(BIN)/python scripts/tilt_to_digit.py $(FIGURES)/mnist_zeros --out $(FIGURES)/mnist_zeros
	$(BIN)/python scripts/gallery.py $(FIGURES)/mnist_zeros --rows seed --columns mode+lookahead+mode.weights --shown 2 \
		--out $(FIGURES)/mnist_zeros_samples.png

GEOMETRY := $(SWEEP) experiment=geometry hydra.sweep.dir=$(FIGURES)/geometry
TASKS := "" "reward=mask reward.shape=disc,half,keyhole,infinity"
geometry: setup ## symmetries and masks by every method at one budget: tables, outputs/geometry.png
	for task in $(TASKS); do \
		$(GEOMETRY) $$task && $(GEOMETRY) $$task mode=tilted_ode lookahead=none,denoiser,flowmap1 && \
		$(GEOMETRY) $$task $(HARDER) lookahead=none,denoiser,flowmap1 || exit 1; done
	$(BIN)/python scripts/frontier.py $(FIGURES)/geometry --out $(FIGURES)/geometry_table
	$(BIN)/python scripts/gallery.py $(FIGURES)/geometry --rows reward+reward.shape --columns mode+lookahead \
		--out $(FIGURES)/geometry.png

TIMES := 12:35,1:50,2:20,3:05,4:45,5:15,6:40,7:00,8:30,9:25,10:55,11:10
CLOCK_BUDGET := 8000
CLOCKS := $(SWEEP) experiment=clocks report=false baseline=false hydra.sweep.dir=$(FIGURES)/clocks
BASELINES := population.groups=2
WANTED := budget.nfe=$(CLOCK_BUDGET) reward.time=$(TIMES)
clocks: setup ## clocks of twelve times of day by every method at one budget: who shows the time, outputs/clocks.png
	$(CLOCKS) mode=base reward.time=4:45 budget.nfe=null population.particles=$(MODEL_CLOCKS)
	$(CLOCKS) $(WANTED) mode=best_of_n,noise_opt $(BASELINES)
	$(CLOCKS) $(WANTED) mode=wide_search lookahead=denoiser $(BASELINES)
	$(CLOCKS) $(WANTED) mode=wide_search lookahead=flowmap1
	$(BIN)/python scripts/clocks.py $(FIGURES)/clocks --out $(FIGURES)/clocks

LAW := $(SWEEP) experiment=clock_law hydra.sweep.dir=$(FIGURES)/clock_law
clock-law: setup ## whether tilted clocks have the law of the time that they should: a table
	$(LAW) $(FEW) mode=importance mode.weights=jarzynski,material,kernel
	$(LAW) $(FEW) mode=noise_smc
	$(LAW) mode=base $(MODEL_SEEDS) population.particles=$(MODEL_CLOCKS)
	$(LAW) mode=base $(MODEL_SEEDS) population.particles=$(MODEL_CLOCKS) sampler/transport=flowmap sampler/epsilon=zero sampler.steps=1
	$(BIN)/python scripts/clock_law.py $(FIGURES)/clock_law --out $(FIGURES)/clock_law

SENSITIVITY := $(SWEEP) $(FEW) experiment=sensitivity hydra.sweep.dir=$(FIGURES)/sensitivity
STAGES := clocks_1800,clocks_2200,clocks_3200,null
ENDS := clocks_1800,null
sensitivity: setup ## gain against error of flow maps of several stages of a training: a table, outputs/sensitivity.png
	$(SENSITIVITY) model.flow_map=$(STAGES) mode.weights=jarzynski
	$(SENSITIVITY) model.flow_map=$(STAGES) lookahead=flowmap4 mode.weights=jarzynski
	$(SENSITIVITY) model.flow_map=$(ENDS) mode.weights=kernel
	$(SENSITIVITY) model.flow_map=null lookahead=denoiser,diffusion4 mode.weights=kernel
	$(BIN)/python scripts/sensitivity.py $(FIGURES)/sensitivity --out $(FIGURES)/sensitivity

EDIT := $(SWEEP) experiment=edit report=true
edit: setup ## a picture of a 3 becomes an 8, and a clock another time: outputs/edit
	$(EDIT) hydra.sweep.dir=$(FIGURES)/edit/digit
	$(EDIT) mode=wide_search sampler.epsilon.c=3 model=clocks reward=edit_clock reward.terms.change.hour=4 sampler.start.path=clock \
		population.particles=16 hydra.sweep.dir=$(FIGURES)/edit/clock

# settings of each method are chosen on the tasks of tuning and reported on others: docs/comparison.md
# lines begin with - since a run that no budget allows is a failure that the tables list
MAXIMISERS := $(SWEEP) experiment=maximisers
MAXIMISER_TRIALS := docs/data/trials/maximise/*.txt
MAXIMISER_TASKS := docs/data/tasks_tuning.txt
tuning: setup ## the trials of every maximiser on the tasks of tuning (many hours, goes on where it stopped): a table, the words of each
	-for trials in $(MAXIMISER_TRIALS); do \
		$(MAXIMISERS) population.groups=16 $(FEW) budget.nfe=64,1000 "hydra.sweeper.files=[$(MAXIMISER_TASKS),$$trials]" \
			hydra.sweep.dir=$(FIGURES)/tuning/$$(basename $$trials .txt); done
	$(BIN)/python scripts/tuning.py $(FIGURES)/tuning/* --out $(FIGURES)/tuning

MAXIMISER_REPORTED := docs/data/tasks_reported.txt
MAXIMISER_SETTINGS := docs/data/maximisers_tuned.txt
MAXIMISERS_BASE := $(MAXIMISERS) hydra/sweeper=basic mode=base
maximisers: setup ## the tuned maximisers at four costs on other tasks (many hours, goes on where it stopped): tables, a CSV, figures
	$(MAXIMISERS_BASE) $(FEW) hydra.sweep.dir=$(FIGURES)/maximisers/base_digits
	$(MAXIMISERS_BASE) $(FEW) model=clocks reward=clock hydra.sweep.dir=$(FIGURES)/maximisers/base_clocks
	-$(MAXIMISERS) $(FEW) budget.nfe=16,64,250,1000 "hydra.sweeper.files=[$(MAXIMISER_REPORTED),$(MAXIMISER_SETTINGS)]" \
		hydra.sweep.dir=$(FIGURES)/maximisers/tuned
	$(BIN)/python scripts/maximisers.py $(FIGURES)/maximisers --out $(FIGURES)/maximisers

# settings of each method are chosen on 40 prompts and reported on 128 others; the lists of trials are those of docs/scenes.md
# lines begin with - since a run that no budget allows is a failure that the tables list
SCENES := $(SWEEP) experiment=scenes_geneval
TRIALS := $(SCENES) prompts_file=docs/data/scenes_tuning.txt population.groups=2 'hydra.sweep.subdir=$${hydra.job.num}' hydra.sweep.dir=$(FIGURES)/scenes_tuning
SCALES := reward.scale=4,1,16,64
# a second round varies the number of steps of what was taken in the first; best of N had nothing else to vary. noise_smc has no such number, and all
# of its trials were alike, one sweep by one jump: it varies the jumps, and whether a pilot chooses the sweeps
STEPS := $(SCENES) prompts_file=docs/data/scenes_tuning.txt population.groups=2 'hydra.sweep.subdir=$${hydra.job.num}' hydra.sweep.dir=$(FIGURES)/scenes_tuning_steps
STEPPING := ls $(FIGURES)/scenes_tuning | paste -d' ' - $(FIGURES)/scenes_tuning.txt | grep -v -e '^best_of_n' -e '^noise_smc' | sed 's/ sampler.steps=[^ ]*//'
# a third round: the methods that move by Euler's steps move by those of second order, which cost as much; fmrg varies its warm-up and its step
MIDPOINT := $(SCENES) prompts_file=docs/data/scenes_tuning.txt population.groups=2 'hydra.sweep.subdir=$${hydra.job.num}' hydra.sweep.dir=$(FIGURES)/scenes_tuning_midpoint
MOVING := ls $(FIGURES)/scenes_tuning | paste -d' ' - $(FIGURES)/scenes_tuned.txt | grep -E '^(beam|best_of_n_ode|das|fk_steering|search)' | sed 's/ sampler.\(transport\|steps\)=[^ ]*//g'
WARMING := ls $(FIGURES)/scenes_tuning | paste -d' ' - $(FIGURES)/scenes_tuned.txt | grep '^fmrg'
scenes-tuning: setup ## the trials of every method on the prompts of tuning (hours, goes on where it stopped): a table, the words of each
	-$(TRIALS)/best_of_n_map mode=best_of_n sampler.steps=4,1,2,3,6,8,12,16
	-$(TRIALS)/best_of_n_ode mode=best_of_n sampler.transport=euler sampler.steps=4,6,8,12,16,20,24,32
	-$(TRIALS)/multi_best_of_n mode=multi_best_of_n lookahead=flowmap4,flowmap1 sampler.steps=10,5,16,24
	-$(TRIALS)/beam mode=beam lookahead=flowmap4,denoiser mode.rounds=4,2,8,16
	-$(TRIALS)/fk_steering mode=fk_steering $(SCALES) mode.interval=4,2
	-$(TRIALS)/das mode=das $(SCALES) mode.tempering=0.9,0.5
	-for lookahead in denoiser diffusion4 flowmap1 flowmap2 flowmap4; do \
		$(TRIALS)/search_$$lookahead mode=search lookahead=$$lookahead $(SCALES) sampler/chi=zero,paper; done
	-$(TRIALS)/noise_opt mode=noise_opt mode.rate=5,1,12,25 mode.regularisation=0.01,0.1
	-$(TRIALS)/noise_smc mode=noise_smc $(SCALES) mode.move=auto,hmc
	-$(TRIALS)/fmrg mode=fmrg mode.factor=3,1,2,6 'mode.window=[0,0.25],[0,0.5]'
	-$(TRIALS)/auto mode=auto lookahead=flowmap1,flowmap2 mode.rate=12,3,6,24
	$(BIN)/python scripts/tuning.py $(FIGURES)/scenes_tuning/* --out $(FIGURES)/scenes_tuning
	-set -f; $(STEPPING) | while read -r name words; do $(STEPS)/$$name $$words sampler.steps=2,4,6,8,10,12,16,24; done
	-$(STEPS)/noise_smc mode=noise_smc lookahead=flowmap2,flowmap4 reward.scale=4,16 mode.pilot=null,0
	$(BIN)/python scripts/tuning.py $(FIGURES)/scenes_tuning/* $(FIGURES)/scenes_tuning_steps/* --out $(FIGURES)/scenes_tuned
	-set -f; $(MOVING) | while read -r name words; do $(MIDPOINT)/$$name $$words sampler.transport=midpoint sampler.steps=2,4,6,8,10,12,16,24; done
	-set -f; $(WARMING) | while read -r name words; do $(MIDPOINT)/$$name $$words sampler.transport=landing,flowmap mode.warmup=4,1,2,null; done
	$(BIN)/python scripts/tuning.py $(FIGURES)/scenes_tuning/* $(FIGURES)/scenes_tuning_steps/* $(FIGURES)/scenes_tuning_midpoint/* --out $(FIGURES)/scenes_tuned

GENEVAL := $(SCENES) hydra.sweep.dir=$(FIGURES)/scenes_geneval
BASE := mode=base sampler/epsilon=zero population.particles=1 budget.nfe=null role=null
TUNED := docs/data/scenes_tuned.txt
DAMPED := sampler/damping=gaussian sampler.damping.sigma=0.46
BUDGETS := budget.nfe=250,64,16
scenes-geneval: setup ## GenEval in small: every method with its tuned settings at three budgets (hours, goes on where it stopped)
	$(GENEVAL) $(BASE) sampler.steps=40
	$(GENEVAL) $(BASE) sampler/transport=flowmap sampler.steps=1,4
	-set -f; while read -r words; do $(GENEVAL) $$words $(BUDGETS); done < $(TUNED)
	-set -f; grep -E 'mode=search.*lookahead=(denoiser|flowmap1)' $(TUNED) | while read -r words; do $(GENEVAL) $$words $(DAMPED) $(BUDGETS); done
	$(BIN)/python scripts/scenes_geneval.py $(FIGURES)/scenes_geneval --out $(FIGURES)/scenes_geneval

GALLERY := $(SCENES) prompts_file=docs/data/scenes_gallery.txt hydra.sweep.dir=$(FIGURES)/scenes_gallery
SHOWN := mode=(best_of_n.*midpoint|fmrg|noise_opt|search.*lookahead=(denoiser|flowmap1))
scenes-gallery: setup ## what six methods make of the first prompt of each category (two minutes): outputs/scenes_gallery.png
	$(GALLERY) $(BASE) sampler.steps=40
	set -f; grep -E '$(SHOWN)' $(TUNED) | while read -r words; do $(GALLERY) $$words; done
	$(BIN)/python scripts/scenes_gallery.py $(FIGURES)/scenes_gallery --out $(FIGURES)/scenes_gallery.png \
		--methods "base 40 steps" "best_of_n midpoint 6 steps" fmrg "search flowmap1" "search denoiser" noise_opt

# the same with a reward whose answers lie between yes and no, at one budget: does a gradient pay that says something?
GRADED = $(SCENES) reward.checkpoint=question_net_graded
GRADED_ROUND = $(GRADED) prompts_file=docs/data/scenes_tuning.txt population.groups=2 'hydra.sweep.subdir=$${hydra.job.num}' hydra.sweep.dir=$(FIGURES)/scenes_graded_tuning
GRADUALLY := reward.scale=4,1,16,64 sampler.steps=4,8
scenes-graded-tuning: setup ## eight trials of each method with a graded reward on the prompts of tuning (an hour): a table, the words of each
	-$(GRADED_ROUND)/best_of_n_map mode=best_of_n sampler.steps=8,2,4,6,10,12,16,24
	-$(GRADED_ROUND)/best_of_n_ode mode=best_of_n sampler.transport=midpoint sampler.steps=6,2,4,8,10,12,16,24
	-$(GRADED_ROUND)/fk_steering mode=fk_steering mode.interval=4 sampler.transport=midpoint $(GRADUALLY)
	-$(GRADED_ROUND)/das mode=das mode.tempering=0.9 sampler.transport=midpoint $(GRADUALLY)
	-$(GRADED_ROUND)/fmrg mode=fmrg 'mode.window=[0,0.25]' mode.factor=1,0.5,2,3 sampler.steps=6,10
	-for lookahead in denoiser flowmap1 flowmap2 flowmap4; do \
		$(GRADED_ROUND)/search_$$lookahead mode=search lookahead=$$lookahead sampler/chi=zero sampler.transport=midpoint $(GRADUALLY); done
	-$(GRADED_ROUND)/search_landing mode=search lookahead=flowmap1 sampler/chi=zero $(GRADUALLY) sampler/transport=landing
	$(BIN)/python scripts/tuning.py $(FIGURES)/scenes_graded_tuning/* --out $(FIGURES)/scenes_graded_tuned

scenes-graded: setup ## the tuned methods with the graded reward on the reported prompts (an hour)
	-set -f; while read -r words; do $(SCENES) hydra.sweep.dir=$(FIGURES)/scenes_graded $$words; done < docs/data/scenes_graded_tuned.txt
	$(GRADED) hydra.sweep.dir=$(FIGURES)/scenes_graded $(BASE) sampler.steps=40
	$(BIN)/python scripts/scenes_geneval.py $(FIGURES)/scenes_graded --out $(FIGURES)/scenes_graded

RATES := $(SCENES) mode=base sampler/transport=flowmap sampler/epsilon=zero sampler.steps=4 population.particles=1 budget.nfe=null role=null
scenes-rates: setup ## how often the base model shows each uncommon prompt, of 1,000 pictures each (20 minutes): a table
	$(RATES) population.groups=1000 hydra.sweep.dir=$(FIGURES)/scenes_rates
	$(BIN)/python scripts/scenes_rates.py $(FIGURES)/scenes_rates --out $(FIGURES)/scenes_rates

SCENES_LAW := $(SWEEP) experiment=scenes_law hydra.sweep.dir=$(FIGURES)/scenes_law
scenes-law: setup ## whether tilted scenes have the law that rejection gives, prompt by prompt: a table
	$(SCENES_LAW) mode=base population.particles=1024
	$(SCENES_LAW) mode=importance mode.weights=kernel,material
	$(BIN)/python scripts/scenes_law.py $(FIGURES)/scenes_law --out $(FIGURES)/scenes_law

# edits: settings of each method are chosen on ten pictures and reported on 24 others (docs/scenes.md); both are drawn first
SCENES_EDIT := $(SWEEP) experiment=scenes_edit hydra/sweeper=lines 'hydra.sweep.subdir=$${hydra.job.num}' budget.nfe=250 role=maximise baseline=false report=false
EDIT_ROUND = $(SCENES_EDIT) population.groups=2 'hydra.sweeper.files=[$(FIGURES)/edits/tuning/tasks.txt]' hydra.sweep.dir=$(FIGURES)/scenes_edit_tuning
KEEPING := sampler.start.t0=0.3,0.1,0.2 reward.terms.keep.scale=30,10,100
EDIT_TAKEN := ls $(FIGURES)/scenes_edit_tuning | paste -d' ' - $(FIGURES)/scenes_edit_tuned.txt
scenes-edit-tuning: setup ## the trials of every method on ten edits of scenes (two hours, goes on where it stopped): a table, the words of each
	$(BIN)/python scripts/draw_scene_edits.py $(FIGURES)/edits/tuning --count 10 --seed 1
	-$(EDIT_ROUND)/best_of_n mode=best_of_n $(KEEPING)
	-for mode in fk_steering tilted_ode fmrg noise_opt; do $(EDIT_ROUND)/$$mode mode=$$mode $(KEEPING); done
	-for lookahead in denoiser flowmap1 flowmap4; do $(EDIT_ROUND)/search_$$lookahead mode=search lookahead=$$lookahead $(KEEPING); done
	$(BIN)/python scripts/tuning.py $(FIGURES)/scenes_edit_tuning/* --out $(FIGURES)/scenes_edit_tuned
	-set -f; $(EDIT_TAKEN) | while read -r name words; do case $$name in \
		best_of_n) $(EDIT_ROUND)_more/$$name $$words sampler.steps=1,2,6,8,12,16 ;; \
		fmrg) $(EDIT_ROUND)_more/$$name $$words sampler.steps=6,16 mode.factor=0.5,1,2 ;; \
		noise_opt) $(EDIT_ROUND)_more/$$name $$words sampler.steps=4,10 mode.rate=1,5,25 ;; \
		tilted_ode) $(EDIT_ROUND)_more/$$name $$words sampler.steps=8,16 mode.gradient.strength=4,16,64 ;; \
		*) $(EDIT_ROUND)_more/$$name $$words sampler.transport=midpoint sampler.steps=4,8 reward.scale=0.25,1,4 ;; esac; done
	$(BIN)/python scripts/tuning.py $(FIGURES)/scenes_edit_tuning/* $(FIGURES)/scenes_edit_tuning_more/* --out $(FIGURES)/scenes_edit_tuned

EDITS := $(SCENES_EDIT) population.groups=4 'hydra.sweeper.files=[$(FIGURES)/edits/reported/tasks.txt]' hydra.sweep.dir=$(FIGURES)/scenes_edit
scenes-edit: setup ## 24 scenes are changed by a question each, by every method with its tuned settings: a table, outputs/scenes_edit.png
	$(BIN)/python scripts/draw_scene_edits.py $(FIGURES)/edits/reported --count 24 --seed 2
	$(EDITS)/base mode=base sampler.transport=midpoint sampler.steps=8 sampler.start.t0=0.1,0.2,0.3 budget.nfe=null role=null
	-set -f; n=0; while read -r words; do n=$$((n + 1)); $(EDITS)/$$n $$words; done < docs/data/scenes_edit_tuned.txt
	$(BIN)/python scripts/scenes_edit.py $(FIGURES)/scenes_edit --out $(FIGURES)/scenes_edit

UNTUNED := $(FRONTIER) hydra.sweep.dir=outputs/frontier_untuned seed=0,1,2,3
frontier-untuned: setup ## the same for the best of them, on rewards that nothing was tuned on and one that the data contradict (an hour)
	for task in "reward=mask reward.shape=half,keyhole,infinity" "reward=digit reward.digit=2,5,7,8" "reward=antisymmetry"; do \
		$(UNTUNED) $$task mode=auto,noise_opt,tilted_ode,best_of_n,fmrg && \
		$(UNTUNED) $$task mode=multi_best_of_n lookahead=flowmap1 && \
		$(UNTUNED) $$task $(RICHER) && $(UNTUNED) $$task $(RICHEST) || exit 1; done
	$(BIN)/python scripts/frontier.py outputs/frontier_untuned --out outputs/frontier_untuned

SAMPLING := OMP_NUM_THREADS=1 $(BIN)/python run.py -m experiment=frontier_sampling launcher=joblib
SMOOTH := hydra.sweep.dir=outputs/frontier_sampling/smooth model=gmm reward=quadratic
RUGGED := hydra.sweep.dir=outputs/frontier_sampling/rugged model=ring_distilled reward=wavy_ring sampler/transport=flowmap \
	sampler.epsilon.c=0.005
POOR := hydra.sweep.dir=outputs/frontier_sampling/poor_map model=gmm reward=quadratic budget.nfe=50,160,500,1600,5000,16000
DIGIT := hydra.sweep.dir=outputs/frontier_sampling/digit reward=digit population.groups=8 population.chunk=256
frontier-sampling: setup ## error of the tilted law against cost for every method that samples it (20 minutes): tables, a picture
	for task in "$(SMOOTH)" "$(RUGGED)" "$(DIGIT) budget.nfe=50,160,500,1600"; do \
		$(SAMPLING) $$task && $(SAMPLING) $$task mode=noise_smc mode.move=pcnl,hmc && \
		$(SAMPLING) $$task mode=importance lookahead=flowmap1 mode.weights=kernel,jarzynski || exit 1; done
	$(SAMPLING) $(POOR) lookahead=diffusion4 mode=importance,noise_smc
	$(SAMPLING) $(POOR) mode=tds,das
	$(SAMPLING) $(DIGIT) mode=base sampler.epsilon=zero sampler.steps=64 population.particles=250 budget.nfe=null
	$(BIN)/python scripts/sampling_frontier.py outputs/frontier_sampling/smooth outputs/frontier_sampling/rugged \
		outputs/frontier_sampling/poor_map outputs/frontier_sampling/digit

SAMPLERS := $(SWEEP) experiment=samplers model=normal
SAMPLER_COSTS := 160,500,1600,5000
samplers: setup ## error of every sampler against strength of the tilt and cost (goes on where it stopped): tables, a picture
	while read -r name words; do \
		$(SAMPLERS) $$words budget.nfe=$(SAMPLER_COSTS) hydra.sweep.dir=$(FIGURES)/samplers/$$name || exit 1; \
		done < docs/data/sampler_tasks.txt
	$(BIN)/python scripts/sampling_frontier.py $$(sed 's|^\([^ ]*\) .*|$(FIGURES)/samplers/\1|' docs/data/sampler_tasks.txt) \
		--out $(FIGURES)/samplers

COVERED := docs/data/sampler_tasks.txt docs/data/coverage_methods.txt
coverage: setup ## how often 95% intervals for log Z hold the truth, for every sampler and strength (hours): tables
	$(RUN) scripts/coverage.py $(COVERED) --out $(FIGURES)/coverage
	$(RUN) scripts/coverage.py $(COVERED) --groups 16 --out $(FIGURES)/coverage_of_16

bench: setup ## every mode beside its own calls of network and reward; the networks themselves; the loop on points beside one written by hand
	$(RUN) scripts/benchmark_modes.py
	$(RUN) scripts/benchmark_networks.py
	$(BIN)/python scripts/benchmark_core.py

bench-resamplers: setup .venv/peers ## our resamplers beside those of the package particles
	PYTHONPATH=.venv/peers OMP_NUM_THREADS=1 $(BIN)/python scripts/benchmark_resamplers.py

train-mnist: setup ## train the bundled flow map and classifiers again (hours)
	$(RUN) scripts/train_reward.py
	$(RUN) scripts/train_reward.py seed=1 net.width=24 net.features=96 training.epochs=6 \
		export=fmtt/models/bundled/digit_evaluator.safetensors
	$(RUN) scripts/train_flow_map.py

train-clocks: setup ## train the bundled flow map and readers of clocks again (two hours)
	$(RUN) scripts/train_clock_reader.py training.doubled=0.5
	$(RUN) scripts/train_clock_reader.py seed=1 net.width=24 net.features=96 \
		export=fmtt/models/bundled/clock_evaluator.safetensors
	$(RUN) scripts/train_flow_map.py --config-name=clocks

train-scenes: setup ## train the bundled velocity and flow map of scenes, and the networks that answer questions, again (hours)
	$(RUN) scripts/train_questions.py
	$(RUN) scripts/train_questions.py seed=1 net.width=64 export=fmtt/models/bundled/question_evaluator.safetensors
	$(RUN) scripts/train_flow_map.py --config-name=scenes export=fmtt/models/bundled/scenes_velocity.safetensors
	$(RUN) scripts/train_flow_map.py --config-name=scenes_map export=fmtt/models/bundled/scenes.safetensors

clean: ## delete .venv, outputs, site and caches
	rm -rf .venv outputs site .pytest_cache .ruff_cache .mypy_cache .hypothesis .import_linter_cache fmtt.egg-info
