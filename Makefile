# Each target is what CI runs. `make` alone lists them. What is given to it, as NAME=web-1, is in the environment of
# its commands: so "$$NAME" is one word there, whatever is in it.
.DEFAULT_GOAL := help
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.* ## .*/\1/p; s/^\([a-z-]*\):.* ### .*/\1/p' Makefile)
PYTHON := .venv/bin/python
FAST := $(addprefix tests/,addresses adopt ansible config/test_write.py git ground images preflight proxmox steps tags terraform vms clusters/test_kubeconfig.py)
LANES := -n 3 --dist loadfile --no-loadscope-reorder
EXTRAS := terraform,ansible,release,dev
export PATH := $(CURDIR)/.venv/bin:$(PATH)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.* ## /\1\t/p' Makefile | expand -t 16
	@echo; echo Proxmox
	@sed -n 's/^\([a-z-]*\):.* ### /\1\t/p' Makefile | expand -t 16

setup: ## install the Python environment (.venv) and what the lab is built of
	@scripts/setup_venv.sh $(EXTRAS)
	@$(PYTHON) -m lab setup

demo: setup ## one commit becomes two running machines, in the lab (STEP=memory|disk|drift|remove|workloads: one step alone)
	@$(PYTHON) -m lab demo $(STEP)

demo-ha: setup ## one commit becomes a K3s cluster of five machines, which then loses some (STEP=loss|rebuild|grow)
	@$(PYTHON) -m lab demo-ha $(STEP)

demo-talos: setup ## an image and one commit become a Talos cluster of two machines (STEP=again|drift)
	@$(PYTHON) -m lab demo-talos $(STEP)

test: setup ## the tests, on a lab of their own: 25 minutes (TESTS=tests/vms: some of them)
	@$(PYTHON) -m pytest $(LANES) --ignore-glob='*/test_slow_*.py' $(TESTS)

test-slow: setup ## those that build clusters, templates and takeovers on many machines: an hour, not part of `test`
	@$(PYTHON) -m pytest $(LANES) $(or $(TESTS),$(shell git ls-files 'tests/*/test_slow_*.py'))

clusters-check: setup ## the tests of clusters/ with real charts and the real helm provider: CHARTS=folder of .tgz MIRROR=folder
	@$(PYTHON) -m pytest $(LANES) tests/lab/test_slow_helm.py tests/releases tests/workspaces

test-qemu: setup ## boot a clone of a template in a real QEMU, without KVM: 2 min, not part of `test`
	@$(PYTHON) -m pytest tests/qemu

bench: setup ## measure the scripts and the chain beside what one would use instead: docs/benchmarks.md (ONLY=tags)
	@$(PYTHON) -m bench $(if $(ONLY),--only $(ONLY))

fast: .venv ## the tests that need neither a lab nor a built program
	@$(PYTHON) -m pytest -n 3 --dist loadfile $(FAST)

coverage: setup ## all tests, the slow ones too, and how much of scripts/ they run
	@$(PYTHON) -m pytest $(LANES) --cov --cov-fail-under=95

validate: .venv ## check proxmox/vms/*.yaml
	@$(PYTHON) scripts/validate_vms.py

clusters-validate: .venv ## check clusters/: workspaces, workloads, contexts and charts
	@$(PYTHON) scripts/validate_clusters.py

validate-playbooks: .venv ## check proxmox/playbooks/*.yml and their roles
	@$(PYTHON) scripts/validate_playbooks.py

new-playbook: .venv ## a playbook of your own to start from: NAME=myapp (DRY_RUN=1 writes nothing)
	@$(PYTHON) scripts/new_playbook.py "$$NAME" $(if $(DRY_RUN),--dry-run)

new-workload: .venv ## a workload of your own for the clusters, to start from: NAME=myapp (DRY_RUN=1 writes nothing)
	@$(PYTHON) scripts/new_workload.py "$$NAME" $(if $(DRY_RUN),--dry-run)

tfvars: .venv ## write Terraform's input from proxmox/vms/*.yaml, without asking Proxmox
	@$(PYTHON) scripts/generate_tfvars.py --offline

plan: .venv ## what an apply would change, with the plan guard's opinion; changes nothing
	@$(PYTHON) scripts/apply_terraform.py --plan-only

drift: .venv ## where VM files, state, Proxmox, inventory, queue and machines disagree; repairs nothing (JSON=file.json)
	@$(PYTHON) scripts/drift.py $(if $(JSON),--json "$$JSON")

status: .venv ## what there is, as a page and as JSON: status/index.html and status.json; changes nothing
	@$(PYTHON) scripts/status_page.py

inventory: .venv ## bring proxmox/k8s.ini and new_hosts.txt up to Terraform's outputs (OUTPUTS=saved.json)
	@$(PYTHON) scripts/update_inventory.py $(if $(OUTPUTS),--outputs "$$OUTPUTS")

clusters-plan: .venv ## what an apply of a workspace of clusters/ would change: WS=observability; changes nothing
	@$(PYTHON) scripts/apply_workspace.py "$$WS" --plan-only

clusters-apply: .venv ## bring a workspace of clusters/ to what its entries say: WS=observability
	@$(PYTHON) scripts/apply_workspace.py "$$WS"

upgrade: .venv ## merge a newer version of the project on a branch, and let it check it: TO=v0.9.0 (none: the newest)
	@$(PYTHON) scripts/upgrade.py $(if $(TO),"$$TO") $(if $(FROM),--from "$$FROM") $(if $(UPSTREAM),--upstream "$$UPSTREAM") \
		--check $(if $(KEEP),--keep-conflicts)

lock: .venv ## write the newest versions that pyproject.toml allows to constraints.txt
	@scripts/lock.sh newest

lint: setup ## every linter, with no exceptions
	ruff check .
	ruff format --check .
	shellcheck $$(git ls-files '*.sh' .ci/run)
	$${TERRAFORM:-$$(command -v terraform || command -v tofu)} fmt -check -recursive proxmox clusters
	actionlint
	zizmor --quiet --offline .github
	ansible-lint --offline proxmox/playbooks
	python3 docs/generate.py --check

fix-token: .venv ### make or mend Proxmox's two API tokens and put them into .env (ROTATE=gitops: a new secret)
	@$(PYTHON) scripts/proxmox_token.py $(if $(ROTATE),--rotate $(ROTATE))

doctor: .venv ### what a run needs, whether it is there, and what mends it (JSON=1: for programs)
	@$(PYTHON) scripts/doctor.py $(if $(JSON),--json)

generate-config: .venv ### write what .env configures: proxmox/vars/vm_config.yml and proxmox/inventory.ini
	@$(PYTHON) scripts/generate_config.py

deploy: generate-config ### make the machines of .env that are not there yet (CHECK=1 changes nothing)
	@ANSIBLE_CONFIG=proxmox/ansible.cfg ansible-playbook proxmox/playbooks/deploy.yml $(if $(CHECK),--check --diff)

cleanup-vms: generate-config ### remove the machines of .env at once, with their disks (CONFIRM_DELETE=true; else a list)
	@$(PYTHON) scripts/cleanup_vms.py $(if $(filter true,$(CONFIRM_DELETE)),--confirm-delete)

remove: generate-config ### the same one after the other, each shut down first (CONFIRM_DELETE=true; CHECK=1 lists)
	@ANSIBLE_CONFIG=proxmox/ansible.cfg ansible-playbook proxmox/playbooks/remove-vms.yml $(if $(CHECK),--check) \
		-e deploy_confirm_delete=$(if $(filter true,$(CONFIRM_DELETE)),true,false)

template: .venv ### build a template from a cloud image: IMAGE=debian12 (NODE=, STORAGE=; CHECK=1 changes nothing)
	@ANSIBLE_CONFIG=proxmox/ansible.cfg ansible-playbook proxmox/playbooks/template.yml $(if $(CHECK),--check --diff) \
		$(if $(IMAGE),-e proxmox_template_image="$$IMAGE") $(if $(NODE),-e proxmox_template_node="$$NODE") \
		$(if $(STORAGE),-e proxmox_template_storage="$$STORAGE")

template-list: .venv ### the templates: state, image, age, linked clones
	@ANSIBLE_CONFIG=proxmox/ansible.cfg ansible-playbook proxmox/playbooks/template.yml -e proxmox_template_state=list

generate-inventory: .venv ### bring proxmox/inventory-vms.ini up to the machines that the role proxmox_vm made
	@$(PYTHON) scripts/generate_inventory.py

vm-ip: .venv ### the address of a machine, as its guest agent tells it: NAME=web-1 (WAIT=120: until it has one)
	@$(PYTHON) scripts/proxmox_get_vm_ip.py --name "$$NAME" $(if $(WAIT),--wait "$$WAIT")

lab-up: setup ## start the lab and leave it running
	@$(PYTHON) -m lab up

lab-down: ## stop the lab: no process, mount, namespace or loop device stays
	@test ! -d .lab || $(PYTHON) -m lab down

lab-status: .venv ## what runs in the lab
	@$(PYTHON) -m lab status

clean: lab-down ## remove all that this checkout made (CACHE=1: and what is unused in the cache)
	@for lab in .lab-test .lab-bench; do test ! -d $$lab || LAB_DIR=$$lab $(PYTHON) -m lab down; done
	@test -z "$(CACHE)" || { $(PYTHON) -m lab clean-cache; scripts/setup_venv.sh --clean; }
	@rm -rf .lab .lab-test .lab-bench .venv proxmox/.terraform proxmox/vms.auto.tfvars.json

images-update: .venv ### lock the newest builds of the cloud images: proxmox/images.lock.yml (IMAGE=debian12: one)
	@$(PYTHON) scripts/update_images.py $(if $(IMAGE),"$$IMAGE")

.venv:
	@scripts/setup_venv.sh $(EXTRAS)
