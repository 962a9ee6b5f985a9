module vaultserver

go 1.22

require github.com/hashicorp/vault v1.14.0
